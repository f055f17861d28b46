#pragma once

#include "runtime/guest/channel.h"
#include "runtime/guest/settings.h"

#include <sys/types.h>

#include <string>

namespace microvmc::guest {

inline constexpr std::int64_t default_grace_ms = 2'000;

/// Why and how the machine ends.
struct Ending {
    enum class Kind { exited, poweroff, reboot } kind = Kind::poweroff;
    int status = 0; ///< exited
    std::int64_t grace_ms = default_grace_ms;
};

/// What the host is told of it.
void report_end(const Ending& ending, Channel& channel);

/// As PID 1: terminates all processes (SIGTERM, after the grace SIGKILL), reports, then `end_machine`. `main_process`:
/// -1 when there is none.
[[noreturn]] void end(const Ending& ending, EndCall call, pid_t main_process, Channel& channel);

/// As PID 1, when the machine can't become what the settings say: tells the host and the console, then `end_machine`.
[[noreturn]] void fail(const std::string& message, const Settings& settings, Channel& channel);

/// Syncs, unmounts, makes the root read-only, closes the channel and ends the machine in its VMM's terms.
[[noreturn]] void end_machine(EndCall call, Channel& channel);

/// Whether the SigIgn line of a /proc/PID/status says that the process ignores the signal.
bool ignores_signal(std::string_view status, int number);

/// Whether it catches the signal, or blocks it to read it later (signalfd(2)).
bool takes_signal(std::string_view status, int number);

} // namespace microvmc::guest
