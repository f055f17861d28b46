#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "runtime/executor.h"
#include "runtime/file_lock.h"
#include "runtime/linux_host.h"
#include "runtime/lower_network.h"
#include "runtime/observe.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

struct StopFlags {
    int timeout_s = -1; ///< less than 0: each plan's shutdown-timeout
    bool kill = false;
    bool autostart = false;
};

// The bound on a graceful stop: what was asked, else what the machine's own plan says.
std::int64_t timeout_ms(const StopFlags& flags, const ObservedVm& vm) {
    if (flags.kill) { return 0; }
    if (flags.timeout_s >= 0) { return std::int64_t{1000} * flags.timeout_s; }
    return vm.plan ? vm.plan->shutdown_timeout_ms : VmPlan{}.shutdown_timeout_ms;
}

// Dependants before what they depend on.
std::vector<KnownMachine> in_stop_order(std::vector<KnownMachine> machines, const Observed& observed) {
    std::vector<KnownMachine> order;
    const auto needs = [&observed](const KnownMachine& machine, const std::string& name) {
        const ObservedVm* vm = observed.find(machine.name);
        return vm != nullptr && vm->plan && std::ranges::find(vm->plan->depends_on, name) != vm->plan->depends_on.end();
    };
    while (!machines.empty()) {
        const auto next = std::ranges::find_if(machines, [&](const KnownMachine& machine) {
            return std::ranges::none_of(machines,
                                        [&](const KnownMachine& other) { return needs(other, machine.name); });
        });
        const auto at = next == machines.end() ? machines.begin() : next;
        order.push_back(std::move(*at));
        machines.erase(at);
    }
    return order;
}

void stop(Session& session, const StopFlags& flags, const std::vector<KnownMachine>& machines) {
    if (machines.empty()) { return; }
    const Directories where = directories();
    LinuxHost host(supervisor_path());
    ProgressLine progress(STDERR_FILENO);
    const FileLock lock = lock_project(session, where, machines.front().project);
    const Observed observed = observe(where.state, where.runtime, machines.front().project);
    for (const KnownMachine& machine : in_stop_order(machines, observed)) {
        const ObservedVm* vm = observed.find(machine.name);
        if (vm == nullptr || !vm->running) {
            print(fmt::format("{}  not running\n", machine.name));
            continue;
        }
        progress.show(fmt::format("{}  waiting until the guest has powered off", machine.name));
        const StopOutcome outcome = host.stop_machine({machine.name, machine.runtime_dir, timeout_ms(flags, *vm)});
        progress.clear();
        if (vm->plan) { perform(release_networks(*vm->plan), host, {}); }
        print(fmt::format("{}  {}\n", machine.name, outcome.detail));
    }
}

} // namespace

void add_stop(CLI::App& app, Session& session) {
    auto flags = std::make_shared<StopFlags>();
    CLI::App* command = add_command(
        app, session, "stop", "Stop machines: the guest is asked to power off, and killed when it doesn't in time");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command
        ->add_option("-t,--timeout", flags->timeout_s,
                     "Seconds until a guest is killed (default: its shutdown-timeout)")
        ->check(CLI::NonNegativeNumber);
    command->add_flag("--kill", flags->kill, "Kill at once; what the guest has not written is lost");
    command->add_flag("--autostart", flags->autostart,
                      "Those of all projects that have `autostart`, as is done when the host stops");
    add_lock_timeout(*command, session);
    command->callback([&session, flags] {
        if (!flags->autostart) { return stop(session, *flags, known_machines(session, directories())); }
        for (const std::vector<KnownMachine>& machines : autostarted_machines(directories())) {
            stop(session, *flags, machines);
        }
    });
}

} // namespace microvmc
