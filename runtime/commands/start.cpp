#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/lower.h"
#include "runtime/observe.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace microvmc {

namespace {

struct StartFlags {
    bool autostart = false;
    unsigned parallelism = 0;
};

// The machine, and after it those that it depends on and that neither run nor have done what they are for.
void add_with_dependencies(const std::string& name, const Observed& observed, std::vector<const VmPlan*>& vms) {
    const ObservedVm* vm = observed.find(name);
    if (vm == nullptr || !vm->plan) { throw Error(fmt::format("{} has no record", name), "microvmc apply makes one"); }
    const auto same = [&name](const VmPlan* each) { return each->name == name; };
    if (vm->running || std::ranges::any_of(vms, same)) { return; }
    vms.push_back(&*vm->plan);
    for (const std::string& needed : vm->plan->depends_on) {
        const ObservedVm* other = observed.find(needed);
        if (other == nullptr || !other->completed) { add_with_dependencies(needed, observed, vms); }
    }
}

// Machines of one project.
void start(Session& session, const StartFlags& flags, const std::vector<KnownMachine>& machines) {
    if (machines.empty()) { return; }
    const Directories where = directories();
    const std::string& project = machines.front().project;
    const FileLock lock = lock_project(session, where, project);
    const Observed observed = observe(where.state, where.runtime, project);
    std::vector<const VmPlan*> stopped;
    for (const KnownMachine& machine : machines) {
        const ObservedVm* vm = observed.find(machine.name);
        if (vm == nullptr || !vm->running) {
            add_with_dependencies(machine.name, observed, stopped);
        } else if (!flags.autostart) {
            print(fmt::format("{}  runs already\n", machine.name));
            upgrade_supervisor_of(machine.name, machine.runtime_dir);
        }
    }
    if (stopped.empty()) { return; }
    const std::string shown = flags.autostart ? project + "/" : "";
    perform_here(lower_starts(project, stopped, observed, host_facts()), flags.parallelism,
                 [&shown](const ActionGroup& group, double seconds) {
                     if (!group.vm.empty()) {
                         print(fmt::format("{}{}  ready in {:.1f}s\n", shown, group.vm, seconds));
                     }
                 });
}

// Of all projects; that one fails keeps no other from starting.
void start_with_the_host(Session& session, const StartFlags& flags) {
    for (const std::vector<KnownMachine>& machines : autostarted_machines(directories())) {
        try {
            start(session, flags, machines);
        } catch (const Error& error) {
            complain(fmt::format("{}: {}\n", machines.front().project, error.what()));
            session.status = exit_failure;
        }
    }
}

} // namespace

void add_start(CLI::App& app, Session& session) {
    auto flags = std::make_shared<StartFlags>();
    CLI::App* command = add_command(app, session, "start",
                                    "Start machines that were stopped, as they were applied last, and what they "
                                    "depend on");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command->add_flag("--autostart", flags->autostart,
                      "Those of all projects that have `autostart`, as is done when the host starts");
    add_parallelism(*command, flags->parallelism);
    add_lock_timeout(*command, session);
    command->callback([&session, flags] {
        if (flags->autostart) { return start_with_the_host(session, *flags); }
        start(session, *flags, known_machines(session, directories()));
    });
}

} // namespace microvmc
