// microvmc-init: PID 1 of a guest. The kernel starts it by rdinit=/microvmc/init; spec.h says what the host tells it,
// wire.h how it talks to the host afterwards.

#include "runtime/guest/agent.h"
#include "runtime/guest/base.h"
#include "runtime/guest/credentials.h"
#include "runtime/guest/ending.h"
#include "runtime/guest/identity.h"
#include "runtime/guest/main_process.h"
#include "runtime/guest/modules.h"
#include "runtime/guest/network.h"
#include "runtime/guest/root.h"
#include "runtime/guest/settings.h"
#include "runtime/guest/shares.h"
#include "runtime/guest/system.h"
#include "runtime/guest/volumes.h"

#include <sys/reboot.h>
#include <unistd.h>

namespace microvmc::guest {
namespace {

Failure read_settings(Settings& settings) {
    constexpr const char* path = "/microvmc/spec";
    const auto text = read_file(path, 16 << 20);
    if (!text) { return with_errno({"cannot read ", path}, errno); }
    if (auto failure = parse_settings(*text, settings)) { return concat({path, ": ", *failure}); }
    return std::nullopt;
}

Failure set_up(Settings& settings) {
    if (settings.root) {
        if (auto failure = switch_root(settings, *settings.root)) { return failure; }
    } else {
        forget_modules();
    }
    for (auto& volume : settings.volumes) {
        if (auto failure = mount_volume(volume)) { return failure; }
    }
    for (const auto& share : settings.shares) {
        if (auto failure = mount_share(share)) { return failure; }
    }
    bring_loopback_up();
    for (const auto& interface : settings.interfaces) {
        if (auto failure = configure_interface(interface)) { return failure; }
    }
    set_identity(settings);
    return std::nullopt;
}

[[noreturn]] void serve_as_pid_1(const Settings& settings, Channel& channel) {
    reboot(RB_DISABLE_CAD); // Ctrl-Alt-Del becomes SIGINT
    Agent agent(settings, channel, Agent::Role::pid_1);
    pid_t main_process = -1;
    // First, since the hello counts as up: a command that can't be run has not been.
    if (auto failure = start_command(settings, agent.environment(), main_process)) {
        fail(*failure, settings, channel);
    }
    agent.say_hello();
    const Ending ending = agent.run(main_process);
    end(ending, settings.end, ending.kind == Ending::Kind::exited ? -1 : main_process, channel);
}

[[noreturn]] void serve_beside_init(const Settings& settings, Channel& channel) {
    if (access(settings.init.c_str(), X_OK) != 0) {
        fail(with_errno({"cannot run the init ", settings.init}, errno), settings, channel);
    }
    if (fork() == 0) {
        setsid();
        Agent agent(settings, channel, Agent::Role::beside);
        agent.say_hello();
        report_end(agent.run(-1), channel);
        _exit(0);
    }
    fail(*become_init(settings), settings, channel);
}

[[noreturn]] void run() {
    const std::int64_t started = now_us();
    Settings settings;
    Channel channel;
    if (auto failure = mount_base()) { fail(*failure, settings, channel); }
    open_stdio();
    if (auto failure = read_settings(settings)) { fail(*failure, settings, channel); }
    const auto module_failures = load_modules(settings.modules);
    const std::int64_t loaded = now_us();
    for (const auto& line : module_failures) { say(line); }
    auto failure = set_up(settings);
    if (!failure && !settings.agent.empty()) { failure = channel.open(settings.agent); }
    if (!failure && !settings.credentials.empty()) {
        failure = receive_credentials(settings.credentials, channel);
        settings.env.push_back(concat({"CREDENTIALS_DIRECTORY=", credentials_directory}));
    }
    if (failure) {
        for (const auto& line : module_failures) { failure->append("; ").append(line); }
        fail(*failure, settings, channel);
    }
    note(concat({"up in ", std::to_string(now_us() - started), " us, modules ", std::to_string(loaded - started)}));
    if (settings.init.empty()) { serve_as_pid_1(settings, channel); }
    serve_beside_init(settings, channel);
}

} // namespace
} // namespace microvmc::guest

int main() {
    if (getpid() != 1) {
        microvmc::guest::say("it is the init of a guest: only the kernel starts it, as PID 1");
        return 1;
    }
    microvmc::guest::run();
}
