#pragma once

#include "runtime/host.h"
#include "runtime/launch.h"
#include "runtime/supervisor/credentials.h"
#include "runtime/process.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

// The client's side of a supervisor (supervisor/protocol.h). All calls are bounded in time: a supervisor that doesn't
// answer is a TimeoutError, never a hang. What is said of paths holds for all: `runtime_dir` is one machine's.

namespace microvmc {

struct Started {
    pid_t supervisor = 0; ///< a child of the caller, in a session of its own; whoever lives long should reap it
    pid_t vmm = 0;
};

/// Writes machine.json and starts the supervisor, which outlives the caller. Returns when all children were started
/// (await_socket of each included). Throws Error with the reason, the VMM's last words among it, when they could not
/// be; TimeoutError when the machine runs already, or what is left of a killed one doesn't go within 5 s.
Started start_supervisor(const std::string& program, const Launch& launch,
                         const std::vector<supervisor::Credential>& credentials = {});

struct MachineStatus {
    std::string vm;
    MachineState state = MachineState::starting;
    pid_t vmm = 0; ///< 0: not started yet
    pid_t supervisor = 0;
    std::int64_t started = 0;    ///< unix seconds
    bool agent = false;          ///< the guest's agent answers
    std::uint32_t reboots = 0;   ///< by the guest
    std::uint32_t restarts = 0;  ///< by its supervisor, after ends that nobody asked for
    std::optional<End> last_end; ///< before the last of those
    std::string waiting_for;     ///< in words; empty: it is ready
    std::string program;         ///< which one its supervisor executes (supervisor/program.h); empty: it doesn't say
    nlohmann::json plan;         ///< Launch::plan
};

/// Of a machine that runs; nothing when none does (the lock is free). A machine whose supervisor was killed counts as
/// running until its processes are dead, which is waited for. Throws TimeoutError when the supervisor doesn't answer.
std::optional<MachineStatus> machine_status(const std::string& runtime_dir);

struct UpgradeOutcome {
    enum class Kind { not_running, current, upgraded, later } kind = Kind::not_running;
    std::string why; ///< later: why not now
};

/// Has the supervisor of a machine that runs executed anew, in place, when `program` is not what it executes: the
/// machine isn't disturbed. `later` when somebody is attached to it or it starts or ends: another call does it. Throws
/// Error when `program` can't take over; the supervisor then goes on as it was.
UpgradeOutcome upgrade_supervisor(const std::string& runtime_dir, const std::string& program);

enum class Goal { vmm, agent, ready, end };

struct AwaitOutcome {
    enum class Kind { reached, ended, timed_out, not_running } kind = Kind::not_running;
    /// How it ended, when it did; also with `reached`, when that end was what ready meant. A machine that ended before
    /// this was asked counts like one that ended meanwhile; not_running is one that nothing is known of.
    std::optional<End> end;
    std::string waiting_for; ///< timed_out: in words
};

/// Tells the supervisor of a machine that runs what to do later on. Throws Error when it doesn't run, or the children are
/// not of the same roles.
void amend_machine(const std::string& runtime_dir, const Amendment& amendment);

/// Waits until the goal is reached or the machine ended.
AwaitOutcome await_machine(const std::string& runtime_dir, Goal goal, std::chrono::milliseconds timeout);

enum class StopKind { poweroff, kill };

/// Asks the guest to power off and kills it when it didn't within `timeout`; says which. `asked`: the caller pressed
/// the power button through the VMM's own protocol, so that a guest without an agent gets the time, too. Returns when
/// all processes of the machine are dead and its lock is free. Throws TimeoutError when the supervisor doesn't answer.
StopOutcome stop_machine(const std::string& runtime_dir, std::chrono::milliseconds timeout,
                         StopKind kind = StopKind::poweroff, bool asked = false);

/// How the last machine in this directory ended; nothing when one runs or none was ever started.
std::optional<End> last_end(const std::string& runtime_dir);

/// Whether any process of a machine lives.
bool is_locked(const std::string& runtime_dir);

/// Removes what a killed machine left: waits (5 s at most) until its processes are dead, then removes its sockets,
/// machine.json and cgroup. Leaves a machine that runs alone and returns false; true when the directory is free. Throws
/// TimeoutError when processes stay.
bool clean_stale(const std::string& runtime_dir);

/// Descriptors that an interactive command uses.
struct Streams {
    int in = 0;
    int out = 1;
    int err = 2;
};

enum class ConsoleEnd { detached, machine_ended };

/// Relays the machine's console until the detach key is typed or the machine ends. A terminal on `in` is in raw mode
/// meanwhile, and restored however this returns, SIGINT, SIGTERM and SIGHUP included (which detach). End of input only
/// ends the input. Throws Error when no machine runs.
ConsoleEnd attach_console(const std::string& runtime_dir, bool history = true, char detach_key = '\x1d' /* Ctrl-] */,
                          Streams streams = {});

struct ExecRequest {
    std::vector<std::string> argv; ///< argv[0] without a slash is looked up on the guest's PATH
    std::map<std::string, std::string> env;
    std::string workdir; ///< empty: "/"
    bool tty = false;    ///< a terminal in the guest, of the size of ours; `in` is in raw mode meanwhile
};

/// Runs a command in the guest and gives its status (128 + N for a signal). Relays stdin, stdout, stderr, the
/// terminal's size, SIGINT, SIGQUIT, SIGTERM and SIGHUP; the third of these within 2 s returns 128 + N at once (with a
/// tty the first: keys are not signals there). Throws Error when no machine runs, its agent is not up, or it ended
/// first.
int exec_in_machine(const std::string& runtime_dir, const ExecRequest& request, Streams streams = {});

struct CaptureOptions {
    std::string input; ///< what the command reads from standard input
    std::chrono::milliseconds timeout{60'000};
    std::size_t output_limit = std::size_t{1} << 20U; ///< bytes kept of each of `out` and `err`; the rest is dropped
};

/// Runs a command in the guest to its end, as run_program does on the host; `request.tty` is not looked at. A command
/// that takes longer than the timeout is hung up (SIGHUP to its process group). Throws as exec_in_machine does.
Ran run_in_machine(const std::string& runtime_dir, const ExecRequest& request, const CaptureOptions& options = {});

} // namespace microvmc
