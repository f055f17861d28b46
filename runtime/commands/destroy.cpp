#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/session.h"

#include "runtime/error.h"
#include "runtime/lower.h"
#include "runtime/observe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

namespace microvmc {

namespace {

struct DestroyFlags {
    bool yes = false;
    bool with_volumes = false;
};

struct Doomed {
    ObservedVm observed;
    MachinePlace place;
};

std::vector<Doomed> find_doomed(const Directories& where, const std::vector<KnownMachine>& machines) {
    if (machines.empty()) { return {}; }
    const Observed observed = observe(where.state, where.runtime, machines.front().project);
    std::vector<Doomed> doomed;
    for (const KnownMachine& machine : machines) {
        const ObservedVm* vm = observed.find(machine.name);
        ObservedVm known = vm != nullptr ? *vm : ObservedVm{};
        known.name = machine.name;
        doomed.push_back({std::move(known), {machine.name, machine.state_dir, machine.runtime_dir}});
    }
    return doomed;
}

// What is done to a machine's images, one line an image, so that nobody is surprised.
std::string volumes_text(const ObservedVm& vm, bool with_volumes) {
    std::string text;
    if (!vm.plan) { return text; }
    for (const VolumePlan& volume : vm.plan->volumes) {
        if (!vm.volumes.contains(volume.name)) { continue; }
        const char* what = !with_volumes        ? "kept"
                           : volume.protect     ? "kept: protected"
                           : volume.auto_create ? "DELETED"
                                                : "kept: not made by microvmc";
        text += fmt::format("-   volumes.{}  {}  {}\n", volume.name, what, volume.image);
    }
    return text;
}

} // namespace

void add_destroy(CLI::App& app, Session& session) {
    auto flags = std::make_shared<DestroyFlags>();
    CLI::App* command =
        add_command(app, session, "destroy", "Stop machines and forget them; their volumes are kept unless asked");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command->add_flag("-y,--yes,--auto-approve", flags->yes, "Don't ask");
    command->add_flag("--with-volumes", flags->with_volumes,
                      "Delete the images that microvmc made for them, too, but for protected ones");
    add_lock_timeout(*command, session);
    command->callback([&session, flags] {
        const Directories where = directories();
        const std::vector<KnownMachine> machines = known_machines(session, where);
        if (machines.empty()) {
            print("Nothing to destroy.\n");
            return;
        }
        const FileLock lock = lock_project(session, where, machines.front().project);
        const std::vector<Doomed> doomed = find_doomed(where, machines);
        std::vector<Action> actions;
        for (const Doomed& vm : doomed) {
            print(fmt::format("- {}  destroy{}\n", vm.place.name, vm.observed.running ? ", stopped first" : ""));
            print(volumes_text(vm.observed, flags->with_volumes));
            const std::vector<Action> its = lower_destroy(vm.observed, vm.place, flags->with_volumes);
            actions.insert(actions.end(), its.begin(), its.end());
        }
        if (!flags->yes && !confirmed("Destroy?")) {
            throw Error("not destroyed", "give --yes when there is no terminal to ask on");
        }
        perform_here(actions);
        print(fmt::format("Destroyed {}.\n",
                          doomed.size() == 1 ? doomed.front().place.name : fmt::format("{} machines", doomed.size())));
    });
}

} // namespace microvmc
