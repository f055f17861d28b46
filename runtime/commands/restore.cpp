#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"
#include "runtime/commands/snapshots.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/lower.h"
#include "runtime/observe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <memory>

namespace microvmc {

namespace {

struct RestoreFlags {
    std::string name;
    bool yes = false;
};

// What is lost by it, for people.
std::string losses(const ObservedVm& vm) {
    std::vector<std::string> lost;
    if (vm.running) { lost.emplace_back("its memory"); }
    for (const VolumePlan& volume : vm.plan->volumes) {
        if (vm.volumes.contains(volume.name)) { lost.push_back(fmt::format("volumes.{}", volume.name)); }
    }
    return fmt::format("{}", fmt::join(lost, ", "));
}

void restore(Session& session, const RestoreFlags& flags) {
    const Directories where = directories();
    const KnownMachine machine = one_machine(session, where);
    const FileLock lock = lock_project(session, where, machine.project);
    const Snapshot snapshot = find_snapshot(machine.state_dir, flags.name);
    const Observed observed = observe(where.state, where.runtime, machine.project);
    const ObservedVm* vm = observed.find(machine.name);
    if (vm == nullptr || !vm->plan) {
        throw Error(fmt::format("{} has no record", machine.name), "microvmc apply makes one");
    }
    if (const auto differences = against_restore(snapshot, *vm->plan); !differences.empty()) {
        throw Error(fmt::format("{} has changed since its snapshot {} was taken: {}", machine.name,
                                snapshot_name(snapshot), fmt::join(differences, "; ")),
                    "apply the microvm.toml as it was then, and restore it again");
    }
    const std::string lost = losses(*vm);
    if (!lost.empty() && !flags.yes) {
        complain(fmt::format("{} goes back to {}. What it has now is lost: {}.\n", machine.name,
                             time_text(snapshot.taken), lost));
        if (!confirmed("Restore?")) { throw Error("not restored", "give --yes when there is no terminal to ask on"); }
    }
    const auto begin = std::chrono::steady_clock::now();
    VmPlan plan = *vm->plan;
    if (plan.mem_max_mib != 0) { plan.mem_mib = snapshot.plan.mem_mib; } // as much as it had
    try {
        perform_here(lower_restore(machine.project, plan, snapshot, observed, host_facts()));
    } catch (const Error&) {
        complain(console_excerpt(machine.name, machine.state_dir));
        throw;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    print(fmt::format("{}  restored from {} of {}, ready in {:.1f}s\n", machine.name, snapshot_name(snapshot),
                      time_text(snapshot.taken), seconds));
}

} // namespace

void add_restore(CLI::App& app, Session& session) {
    auto flags = std::make_shared<RestoreFlags>();
    CLI::App* command = add_command(app, session, "restore",
                                    "Have a machine go on from a snapshot: its memory and its volumes as then");
    add_machine_option(*command, session);
    command->add_option("name", flags->name, "The snapshot's name (default: the newest)")->type_name("NAME");
    command->add_flag("-y,--yes,--auto-approve", flags->yes, "Don't ask");
    add_lock_timeout(*command, session);
    command->callback([&session, flags] { restore(session, *flags); });
}

} // namespace microvmc
