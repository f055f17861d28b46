#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "runtime/machine_control.h"

#include <fmt/format.h>

namespace microvmc {

namespace {

// Calls `act` for each machine that the session names and that runs.
template <typename Act> void each_running(Session& session, Act act) {
    const Directories where = directories();
    for (const KnownMachine& machine : known_machines(session, where)) {
        const FileLock lock = lock_project(session, where, machine.project);
        const auto status = machine_status(machine.runtime_dir);
        if (!status) {
            print(fmt::format("{}  not running\n", machine.name));
            continue;
        }
        require_capability(plan_of(*status), "pause");
        act(machine, *attach_control(*status));
    }
}

void pause(const KnownMachine& machine, Control& control) {
    const bool was_paused = control.paused();
    control.pause();
    print(fmt::format("{}  {}\n", machine.name, was_paused ? "was paused" : "paused"));
}

void resume(const KnownMachine& machine, Control& control) {
    if (!control.paused()) {
        print(fmt::format("{}  was not paused\n", machine.name));
        return;
    }
    control.resume();
    print(fmt::format("{}  runs on\n", machine.name));
    std::string why;
    if (!renew_guest(machine.runtime_dir, why)) {
        complain(fmt::format("{}  its clock is behind by the time that it was paused: {}\n", machine.name, why));
    }
}

} // namespace

void add_pause(CLI::App& app, Session& session) {
    CLI::App* command = add_command(app, session, "pause", "Have machines stand still, their memory kept");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    add_lock_timeout(*command, session);
    command->callback([&session] { each_running(session, pause); });
}

void add_resume(CLI::App& app, Session& session) {
    CLI::App* command = add_command(app, session, "resume", "Have paused machines run on, their clocks set");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    add_lock_timeout(*command, session);
    command->callback([&session] { each_running(session, resume); });
}

} // namespace microvmc
