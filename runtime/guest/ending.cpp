#include "runtime/guest/ending.h"

#include "runtime/guest/mount_table.h"
#include "runtime/guest/system.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

// Every process descends from PID 1, so none is left when it has no child.
bool all_gone() {
    for (;;) {
        const pid_t pid = waitpid(-1, nullptr, WNOHANG);
        if (pid == 0) { return false; }
        if (pid < 0 && errno != EINTR) { return true; }
    }
}

void terminate_all(pid_t main_process, std::int64_t grace_ms) {
    constexpr std::int64_t kill_wait_ms = 1'000; // a process in the middle of a device's request can't die sooner
    constexpr int step_ms = 5;
    if (all_gone()) { return; }
    kill(-1, SIGTERM);
    kill(-1, SIGCONT);
    // An interactive shell ignores SIGTERM; a terminal that goes away is what ends it.
    if (main_process > 0) {
        const auto status = read_file(concat({"/proc/", std::to_string(main_process), "/status"}));
        if (status && ignores_signal(*status, SIGTERM)) { kill(main_process, SIGHUP); }
    }
    if (wait_for(grace_ms, all_gone, step_ms)) { return; }
    kill(-1, SIGKILL);
    wait_for(kill_wait_ms, all_gone, step_ms);
}

void unmount_all() {
    // More than once: a mount may keep one below it busy.
    for (int round = 0; round < 3; ++round) {
        bool busy = false;
        for (const auto& target : unmount_order(parse_mounts(read_file("/proc/mounts").value_or("")))) {
            if (umount2(target.c_str(), 0) == 0) { continue; }
            busy = true;
            mount(nullptr, target.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
        }
        if (!busy) { break; }
    }
    mount(nullptr, "/", nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
}

const char* kind_name(Ending::Kind kind) {
    switch (kind) {
    case Ending::Kind::exited: return "exited";
    case Ending::Kind::poweroff: return "poweroff";
    case Ending::Kind::reboot: return "reboot";
    }
    return "";
}

} // namespace

void report_end(const Ending& ending, Channel& channel) {
    constexpr std::int64_t take_ms = 1'000;
    channel.send(wire::Type::end, 0, wire::join_fields({kind_name(ending.kind), std::to_string(ending.status)}));
    channel.flush(take_ms, 0);
}

void end(const Ending& ending, EndCall call, pid_t main_process, Channel& channel) {
    terminate_all(main_process, ending.grace_ms);
    report_end(ending, channel);
    end_machine(call, channel);
}

void fail(const std::string& message, const Settings& settings, Channel& channel) {
    constexpr std::int64_t take_ms = 2'000;
    say(message);
    // A failure of the channel itself has no way to the host but the console.
    if (!channel.is_open() && !settings.agent.empty() && channel.open(settings.agent)) {
        end_machine(settings.end, channel);
    }
    channel.send(wire::Type::failed, 0, message);
    channel.flush(take_ms, take_ms);
    end_machine(settings.end, channel);
}

void end_machine(EndCall call, Channel& channel) {
    sync();
    unmount_all();
    channel.close();
    switch (call) {
    case EndCall::reboot: reboot(RB_AUTOBOOT); break;
    case EndCall::poweroff: reboot(RB_POWER_OFF); break;
    }
    _exit(1); // the kernel refused: its panic ends the machine
}

} // namespace microvmc::guest
