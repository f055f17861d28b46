#include "runtime/guest/own_init.h"

#include "runtime/guest/environment.h"
#include "runtime/guest/spawn.h"
#include "runtime/guest/system.h"

#include <signal.h>
#include <unistd.h>

namespace microvmc::guest {

namespace {
Ending::Kind asked = Ending::Kind::poweroff;
}

void ask_own_init(Ending::Kind kind) {
    asked = kind;
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
