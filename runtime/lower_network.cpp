#include "runtime/lower_network.h"

#include <algorithm>
#include <set>

namespace microvmc {

namespace {

// Made by us; a user's network needs none, and those that aren't managed others make.
bool has_tap(const InterfacePlan& interface) {
    return interface.managed && (interface.type == "tap" || interface.type == "bridge");
}

NetworkMember member_of(const VmPlan& vm, const InterfacePlan& interface) {
    NetworkMember member;
    member.names = {vm.name};
    if (vm.hostname != vm.name && !vm.hostname.empty()) { member.names.push_back(vm.hostname); }
    member.tap = interface.id;
    member.mac = interface.mac;
    member.addresses = interface.addresses;
    member.allow_spoofing = interface.allow_spoofing;
    member.forwards = interface.forwards;
    return member;
}

NetworkUp up_of(const std::string& project, const NetworkPlan& network, const VmPlan& vm, const Neighbours& neighbours,
                const HostFacts& facts) {
    NetworkUp up;
    up.project = project;
    up.network = network;
    up.runtime_dir = network_runtime_dir(vm.runtime_dir, network.name);
    if (network.dhcp || network.dns) {
        const auto dnsmasq = facts.tools.find("dnsmasq");
        if (dnsmasq != facts.tools.end()) { up.dnsmasq = dnsmasq->second.path; }
    }
    for (const VmPlan* each : neighbours.vms) {
        for (const InterfacePlan& interface : each->interfaces) {
            if (interface.network == network.name) { up.members.push_back(member_of(*each, interface)); }
        }
    }
    return up;
}

} // namespace

std::vector<Tap> taps_of(const VmPlan& vm) {
    std::vector<Tap> taps;
    for (const InterfacePlan& interface : vm.interfaces) {
        if (has_tap(interface)) { taps.push_back({.name = interface.id, .queues = interface.queues}); }
    }
    return taps;
}

std::vector<Action> lower_networks(const std::string& project, const VmPlan& vm, const Neighbours& neighbours,
                                   const HostFacts& facts) {
    std::vector<Action> actions;
    std::set<std::string> joined;
    for (const InterfacePlan& interface : vm.interfaces) {
        const auto network = std::ranges::find(neighbours.networks, interface.network, &NetworkPlan::name);
        if (network == neighbours.networks.end() || !joined.insert(network->name).second) { continue; }
        actions.emplace_back(EnsureNetwork{up_of(project, *network, vm, neighbours, facts)});
    }
    for (const InterfacePlan& interface : vm.interfaces) {
        if (!has_tap(interface)) { continue; }
        actions.emplace_back(MakeTap{.tap = {.name = interface.id, .queues = interface.queues},
                                     .machine = vm.runtime_dir,
                                     .bridge = interface.bridge,
                                     .mtu = interface.mtu});
    }
    return actions;
}

std::vector<Action> release_networks(const VmPlan& vm) {
    std::vector<Action> actions;
    std::set<std::string> joined;
    for (const InterfacePlan& interface : vm.interfaces) {
        if (interface.network.empty() || !joined.insert(interface.network).second) { continue; }
        actions.emplace_back(ReleaseNetwork{.bridge = interface.bridge,
                                            .runtime_dir = network_runtime_dir(vm.runtime_dir, interface.network)});
    }
    return actions;
}

} // namespace microvmc
