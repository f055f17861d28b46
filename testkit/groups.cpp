#include "testkit/groups.h"

#include "runtime/backend.h"

#include <algorithm>
#include <fmt/format.h>
#include <variant>

namespace microvmc::testkit {

namespace {

constexpr std::uint32_t boot_cost = 5;    ///< in steps
constexpr std::uint32_t volume_cost = 12; ///< reading is slow to begin, and is done beside what is left to run

bool is_volume_step(const Step& step) {
    return std::holds_alternative<VolumeStep>(step.what);
}

std::uint32_t cost_of(const Case& which) {
    const bool reads = std::ranges::any_of(which.steps, is_volume_step);
    return static_cast<std::uint32_t>(which.steps.size()) + (reads ? volume_cost : 0);
}

/// What stands in the host's own name space, and can't be had twice.
void add_exclusive(const Config& config, std::set<std::string>& exclusive) {
    for (const VmConfig& vm : config.vms) {
        for (const ForwardConfig& forward : vm.forward_ports) {
            if (forward.from.value == "host" && forward.host && forward.host->port) {
                exclusive.insert(fmt::format("port {}/{}", forward.host->port->value, forward.proto.value));
            }
        }
        for (const InterfaceConfig& interface : vm.interfaces) {
            if (interface.id) { exclusive.insert("interface " + interface.id->value); }
            if (interface.bridge) { exclusive.insert("bridge " + interface.bridge->value); }
            if (interface.link) { exclusive.insert("link " + interface.link->value); }
            if (interface.mac) { exclusive.insert("mac " + interface.mac->value); }
        }
        if (vm.graphics && vm.graphics->port) {
            exclusive.insert(fmt::format("port {}/tcp", vm.graphics->port->value));
        }
        if (vm.vsock && vm.vsock->cid && vm.vsock->cid->value != "auto") {
            exclusive.insert("cid " + vm.vsock->cid->value);
        }
    }
    for (const NetworkConfig& network : config.networks) {
        for (const auto& subnet : network.subnet) { exclusive.insert("subnet " + subnet.value); }
        if (network.bridge) { exclusive.insert("bridge " + network.bridge->value); }
    }
}

void add_run(Group& group, const Run& run, const Case& which) {
    group.runs.push_back(run);
    group.cost += cost_of(which);
    group.reads_volumes = group.reads_volumes || std::ranges::any_of(which.steps, is_volume_step);
    add_exclusive(which.config, group.exclusive);
}

Group empty_group(const Case& which) {
    Group group;
    group.isolated = which.isolated;
    group.cost = boot_cost;
    for (const VmConfig& vm : which.config.vms) {
        if (vm.enabled.value) { group.mem_mib += static_cast<std::uint64_t>(vm.mem.value); }
    }
    return group;
}

class Grouping {
public:
    void add(const Groupable& each) {
        Slot& slot = slot_for(each);
        add_run(slot.group, each.run, *each.which);
        slot.changed = slot.changed || changes_machines(*each.which);
    }

    std::vector<Group> take(std::vector<Group> groups) {
        for (Slot& slot : slots_) { groups.push_back(std::move(slot.group)); }
        std::ranges::stable_sort(groups, std::ranges::greater{}, &Group::cost);
        return groups;
    }

private:
    struct Slot {
        const Plan* plan;
        Group group;
        bool changed = false; ///< its last run changes the machines
    };

    static bool fits(const Slot& slot, const Groupable& each) {
        const bool isolated = each.which->isolated;
        if (slot.group.isolated != isolated || (isolated && !each.snapshot)) { return false; }
        if (slot.changed && !isolated) { return false; }
        const Run& first = slot.group.runs.front();
        return first.target == each.run.target && first.round == each.run.round && slot.plan->vms == each.plan->vms &&
               slot.plan->networks == each.plan->networks;
    }

    Slot& slot_for(const Groupable& each) {
        const auto found = std::ranges::find_if(slots_, [&](const Slot& slot) { return fits(slot, each); });
        if (found != slots_.end()) { return *found; }
        return slots_.emplace_back(Slot{.plan = each.plan, .group = empty_group(*each.which)});
    }

    std::vector<Slot> slots_;
};

} // namespace

bool changes_machines(const Case& which) {
    return std::ranges::any_of(which.steps, [](const Step& step) { return std::holds_alternative<VmStep>(step.what); });
}

Group lone_group(const Run& run, const Case& which) {
    Group group = empty_group(which);
    add_run(group, run, which);
    return group;
}

bool shares_snapshots(const Plan& plan) {
    if (plan.vms.size() != 1) { return false; }
    const VmPlan& vm = plan.vms.front();
    // A share that the guest has mounted can't be saved; a tap, a bridge and a CID are had once.
    return refusal(backend(vm.hypervisor).traits, "snapshot.elsewhere", vm.program_version).empty() &&
           vm.shares.empty() && vm.root.kind == RootPlan::Kind::initramfs && vm.host_devices.empty() &&
           vm.vsock_cid == 0 &&
           std::ranges::all_of(vm.interfaces, [](const InterfacePlan& each) { return each.type == "user"; });
}

std::vector<Group> make_groups(const std::vector<Groupable>& all, std::vector<Group> others) {
    Grouping grouping;
    // Those that leave the machines as they are first: each of the others then ends one's group, or has its own.
    for (const bool changing : {false, true}) {
        for (const Groupable& each : all) {
            if (changes_machines(*each.which) == changing) { grouping.add(each); }
        }
    }
    return grouping.take(std::move(others));
}

} // namespace microvmc::testkit
