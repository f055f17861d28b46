#include "runtime/guest/own_init.h"

#include "runtime/guest/environment.h"
#include "runtime/guest/spawn.h"
#include "runtime/guest/system.h"

#include <signal.h>
#include <unistd.h>

namespace microvmc::guest {

namespace {

Ending::Kind asked = Ending::Kind::poweroff;

// Signals that PID 1 neither catches nor blocks are lost on it (kernel: SIGNAL_UNKILLABLE), those for an init that has
// only just been executed as well. Those that end a machine by signals take SIGUSR2: systemd, busybox, sysvinit. Of
// others nothing is known: they are asked a little later.
void await_own_init() {
    constexpr std::int64_t patience_ms = 5'000;
    constexpr int step_ms = 20;
    wait_for(
        patience_ms, [] { return takes_signal(read_file("/proc/1/status").value_or(""), SIGUSR2); }, step_ms);
}

} // namespace

void ask_own_init(Ending::Kind kind) {
    asked = kind;
    await_own_init();
    const bool reboots = kind == Ending::Kind::reboot;
    if (access("/run/systemd/system", F_OK) == 0) { // sd_booted(3)
        kill(1, SIGRTMIN + (reboots ? 5 : 4));
        return;
    }
    Program program;
    program.argv = {reboots ? "reboot" : "poweroff"};
    program.env = default_environment();
    spawn(program);
}

Ending own_init_ending() {
    // systemd(1) becomes systemd-shutdown at the end, whose first argument is the verb.
    const std::string command_line = read_file("/proc/1/cmdline").value_or("");
    const auto words = wire::split_fields(command_line);
    Ending ending;
    ending.kind = asked;
    if (words.size() > 1 && words[0].find("shutdown") != std::string_view::npos) {
        ending.kind = words[1] == "reboot" || words[1] == "kexec" ? Ending::Kind::reboot : Ending::Kind::poweroff;
    }
    return ending;
}

} // namespace microvmc::guest
