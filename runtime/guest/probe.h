#pragma once

#include "runtime/guest/settings.h"
#include "runtime/guest/system.h"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace microvmc::guest {

/// Where programs report READY=1 (sd_notify(3)).
inline constexpr const char* notify_socket = "/run/microvmc/notify";

/// Finds out when the machine counts as up. It asks again and again in small steps; nothing blocks for longer than a
/// connection within the machine takes.
class Probe {
public:
    /// `env`: for the command that is asked. Opens the notification socket when that is what counts.
    explicit Probe(const Settings& settings, std::vector<std::string> env);

    [[nodiscard]] bool holds() const { return holds_; }

    /// Milliseconds until `ask` should be called, -1: no need (it holds, or is the host's business).
    [[nodiscard]] int timeout_ms() const;

    /// Takes one step when it is time to.
    void ask();

    /// A child of the init has ended; true when it was the probe's.
    bool child_exited(pid_t pid, int status);

    [[nodiscard]] int notify_fd() const { return notify_.get(); }
    void read_notification();

private:
    bool ask_tcp(std::uint16_t port);
    bool ask_http(const ready::Http& http);
    void ask_command(const ready::Command& command);

    Ready ready_;
    std::vector<Address> addresses_; ///< of the machine itself
    std::vector<std::string> env_;
    bool holds_ = false;
    std::int64_t next_ms_ = 0;
    Fd notify_;
    Fd request_; ///< of http, while one is under way
    std::string answer_;
    std::int64_t asked_ms_ = 0; ///< when the request or the command began
    std::size_t next_address_ = 0;
    pid_t command_ = -1;
};

/// Whether what an HTTP server answered begins a success (2xx) or a redirection (3xx).
bool is_good_answer(std::string_view answer);

/// Whether a notification (lines of NAME=VALUE) says READY=1.
bool says_ready(std::string_view notification);

} // namespace microvmc::guest
