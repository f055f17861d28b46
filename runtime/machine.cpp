#include "runtime/machine.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"
#include "runtime/supervisor/protocol.h"

#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>

namespace microvmc {

namespace {

using namespace std::chrono_literals;
using machine::Answer;
using machine::Clock;

constexpr std::chrono::milliseconds longest{std::int64_t{365} * 24 * 3600 * 1000};
constexpr auto kill_time = 10s; ///< for a supervisor to kill its machine and clean up

std::string_view name_of(Goal goal) {
    switch (goal) {
    case Goal::vmm: return "vmm";
    case Goal::agent: return "agent";
    case Goal::ready: return "ready";
    case Goal::end: return "end";
    }
    return {};
}

std::string_view name_of(StopKind kind) {
    switch (kind) {
    case StopKind::poweroff: return "poweroff";
    case StopKind::kill: return "kill";
    }
    return {};
}

const char* const no_answer = "the machine's supervisor doesn't answer";
const char* const kill_it = "`microvmc stop --kill` ends it with its machine";
const char* const supervisor_died = "its supervisor died, and its processes with it";

AwaitOutcome ended_earlier(const std::string& runtime_dir, Goal goal) {
    const auto end = read_recorded_end(runtime_dir + "/" + supervisor::end_name);
    if (!end) { return {}; }
    const bool meant = goal == Goal::ready && end->ready;
    return {meant ? AwaitOutcome::Kind::reached : AwaitOutcome::Kind::ended, end->end, {}};
}

// The process that listens, as the kernel knows it: unix(7), SO_PEERCRED.
void kill_supervisor(const Fd& connection) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 1) {
        ::kill(peer.pid, SIGKILL);
    }
}

bool has_post_stop(const std::string& runtime_dir) {
    try {
        return !read_launch(runtime_dir).post_stop.empty();
    } catch (const Error&) { return false; }
}

void await_all_dead(const std::string& runtime_dir) {
    if (!machine::await_unlocked(runtime_dir, Clock::now() + machine::patience)) {
        throw TimeoutError("the machine was killed, but processes of it stay: " + machine::lock_path(runtime_dir) +
                           " is still held");
    }
}

StopOutcome::Kind outcome_of(const nlohmann::json& json) {
    return json.at("outcome") == "killed" ? StopOutcome::Kind::killed : StopOutcome::Kind::graceful;
}

} // namespace

bool is_locked(const std::string& runtime_dir) {
    const Fd lock(::open(machine::lock_path(runtime_dir).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    return lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::optional<MachineStatus> machine_status(const std::string& runtime_dir) {
    Answer answer;
    // One that was just killed may still take a connection; then it is looked for again.
    for (const auto deadline = Clock::now() + machine::patience; answer.kind == Answer::Kind::closed;) {
        const Fd connection = machine::find_supervisor(runtime_dir);
        if (!connection) { return std::nullopt; }
        answer = machine::request(connection, {{"op", "status"}}, deadline);
        if (Clock::now() >= deadline) { break; }
    }
    if (answer.kind != Answer::Kind::answered) { throw TimeoutError(no_answer, kill_it); }
    MachineStatus status;
    try {
        const nlohmann::json& json = answer.json;
        json.at("vm").get_to(status.vm);
        status.state = machine_state(json.at("state").get<std::string>()).value_or(MachineState::running);
        json.at("pid").get_to(status.vmm);
        json.at("supervisor").get_to(status.supervisor);
        json.at("started").get_to(status.started);
        json.at("agent").get_to(status.agent);
        json.at("reboots").get_to(status.reboots);
        status.restarts = json.value("restarts", std::uint32_t{0});
        if (json.contains("last_end")) { status.last_end = json["last_end"].get<End>(); }
        status.waiting_for = json.value("waiting_for", "");
        status.program = json.value("program", "");
        status.plan = json.at("plan");
    } catch (const nlohmann::json::exception& error) {
        throw Error(std::string("the supervisor's answer can't be understood: ") + error.what());
    }
    return status;
}

void amend_machine(const std::string& runtime_dir, const Amendment& amendment) {
    const Fd connection = machine::find_supervisor(runtime_dir);
    if (!connection) { throw Error("the machine has ended meanwhile"); }
    machine::request_now(connection, {{"op", "amend"}, {"amendment", amendment}});
}

AwaitOutcome await_machine(const std::string& runtime_dir, Goal goal, std::chrono::milliseconds timeout) {
    const Fd connection = machine::find_supervisor(runtime_dir);
    if (!connection) { return ended_earlier(runtime_dir, goal); }
    timeout = std::min(timeout, longest);
    const Answer answer =
        machine::request(connection, {{"op", "await"}, {"for", name_of(goal)}, {"timeout_ms", timeout.count()}},
                         Clock::now() + timeout + machine::patience);
    switch (answer.kind) {
    case Answer::Kind::timed_out: throw TimeoutError(no_answer, kill_it);
    case Answer::Kind::closed:
        if (!machine::find_supervisor(runtime_dir)) {
            if (AwaitOutcome outcome = ended_earlier(runtime_dir, goal); outcome.end) { return outcome; }
        }
        return {AwaitOutcome::Kind::ended, End{End::Kind::killed, 0, supervisor_died}, {}};
    case Answer::Kind::answered: break;
    }
    AwaitOutcome outcome;
    try {
        if (answer.json.contains("end")) { outcome.end = answer.json["end"].get<End>(); }
        if (answer.json.contains("state")) {
            outcome.kind = AwaitOutcome::Kind::reached;
        } else if (outcome.end) {
            outcome.kind = AwaitOutcome::Kind::ended;
        } else {
            outcome.kind = AwaitOutcome::Kind::timed_out;
            answer.json.at("waiting_for").get_to(outcome.waiting_for);
        }
    } catch (const nlohmann::json::exception& error) {
        throw Error(std::string("the supervisor's answer can't be understood: ") + error.what());
    }
    return outcome;
}

StopOutcome stop_machine(const std::string& runtime_dir, std::chrono::milliseconds timeout, StopKind kind, bool asked) {
    const Fd connection = machine::find_supervisor(runtime_dir);
    if (!connection) {
        clean_stale(runtime_dir);
        return {StopOutcome::Kind::was_not_running, {}};
    }
    timeout = std::min(timeout, longest);
    const nlohmann::json json = {
        {"op", "stop"}, {"timeout_ms", timeout.count()}, {"kind", name_of(kind)}, {"asked", asked}};
    auto time = kind == StopKind::kill ? std::chrono::milliseconds(0) : timeout;
    if (has_post_stop(runtime_dir)) { time += std::chrono::milliseconds(supervisor::post_stop_ms); }
    const Answer answer = machine::request(connection, json, Clock::now() + time + kill_time);
    StopOutcome outcome{StopOutcome::Kind::killed, {}};
    switch (answer.kind) {
    case Answer::Kind::answered: try { outcome = {outcome_of(answer.json), answer.json.at("detail").get<std::string>()};
        } catch (const nlohmann::json::exception& error) {
            throw Error(std::string("the supervisor's answer can't be understood: ") + error.what());
        }
        break;
    case Answer::Kind::closed: outcome.detail = supervisor_died; break;
    case Answer::Kind::timed_out:
        // Its children die with it.
        kill_supervisor(connection);
        outcome.detail = "its supervisor didn't answer; killed";
        break;
    }
    await_all_dead(runtime_dir);
    if (answer.kind != Answer::Kind::answered) { clean_stale(runtime_dir); }
    return outcome;
}

std::optional<End> last_end(const std::string& runtime_dir) {
    const auto recorded = read_recorded_end(runtime_dir + "/" + supervisor::end_name);
    return recorded ? std::optional(recorded->end) : std::nullopt;
}

bool clean_stale(const std::string& runtime_dir) {
    if (::access(runtime_dir.c_str(), F_OK) != 0) { return true; }
    if (machine::find_supervisor(runtime_dir)) { return false; }
    const Fd lock = machine::lock_machine(runtime_dir);
    machine::remove_leftovers(runtime_dir);
    return true;
}

} // namespace microvmc
