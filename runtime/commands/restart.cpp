#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/lower.h"
#include "runtime/observe.h"

#include <fmt/format.h>

#include <memory>

namespace microvmc {

void add_restart(CLI::App& app, Session& session) {
    auto kill = std::make_shared<bool>(false);
    CLI::App* command = add_command(app, session, "restart",
                                    "Stop machines and start them again, as they were applied last, one by one");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command->add_flag("--kill", *kill, "Kill instead of asking the guest to power off");
    add_lock_timeout(*command, session);
    command->callback([&session, kill] {
        const Directories where = directories();
        const std::vector<KnownMachine> machines = known_machines(session, where);
        if (machines.empty()) {
            print("Nothing was applied yet.\n");
            return;
        }
        const FileLock lock = lock_project(session, where, machines.front().project);
        const Observed observed = observe(where.state, where.runtime, machines.front().project);
        const HostFacts facts = host_facts();
        for (const KnownMachine& machine : machines) {
            const ObservedVm* vm = observed.find(machine.name);
            if (vm == nullptr || !vm->plan) {
                throw Error(fmt::format("{} has no record", machine.name), "microvmc apply makes one");
            }
            const std::int64_t timeout_ms = *kill ? 0 : vm->plan->shutdown_timeout_ms;
            try {
                perform_here(lower_restart(machine.project, *vm->plan, timeout_ms, observed, facts));
            } catch (const Error&) {
                complain(console_excerpt(machine.name, machine.state_dir));
                throw;
            }
            print(fmt::format("{}  ready\n", machine.name));
        }
    });
}

} // namespace microvmc
