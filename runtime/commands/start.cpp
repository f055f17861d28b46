#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/lower.h"
#include "runtime/observe.h"

#include <fmt/format.h>

namespace microvmc {

void add_start(CLI::App& app, Session& session) {
    CLI::App* command =
        add_command(app, session, "start", "Start machines that were stopped, as they were applied last");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    add_lock_timeout(*command, session);
    command->callback([&session] {
        const Directories where = directories();
        for (const KnownMachine& machine : known_machines(session, where)) {
            const FileLock lock = lock_project(session, where, machine.project);
            const Observed observed = observe(where.state, where.runtime, machine.project);
            const ObservedVm* vm = observed.find(machine.name);
            if (vm != nullptr && vm->running) {
                print(fmt::format("{}  runs already\n", machine.name));
                upgrade_supervisor_of(machine.name, machine.runtime_dir);
                continue;
            }
            if (vm == nullptr || !vm->plan) {
                throw Error(fmt::format("{} has no record", machine.name), "microvmc apply makes one");
            }
            try {
                perform_here(lower_start(machine.project, *vm->plan, observed, host_facts({}, {})));
            } catch (const Error&) {
                complain(console_excerpt(machine.name, machine.state_dir));
                throw;
            }
            print(fmt::format("{}  ready\n", machine.name));
        }
    });
}

} // namespace microvmc
