#include "runtime/lower_network.h"

#include "runtime/backend.h"

#include <algorithm>
#include <set>

namespace microvmc {

namespace {

// Made by us; a user's network needs none, and those that aren't managed others make.
bool has_tap(const InterfacePlan& interface) {
    return interface.managed && interface.type != "user";
}

Tap tap_of(const InterfacePlan& interface) {
    const bool is_macvtap = interface.type == "macvtap";
    return {.name = interface.id, .queues = interface.queues, .link = is_macvtap ? interface.link : ""};
}

// What the hypervisor doesn't limit by itself.
std::uint64_t limit_of(const VmPlan& vm, const InterfacePlan& interface) {
    const Support support = backend(vm.hypervisor).traits.capability("interface.rate").support;
    return support == Support::bridged ? interface.rate_mib : 0;
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
        if (has_tap(interface)) { taps.push_back(tap_of(interface)); }
    }
    return taps;
}

std::vector<std::vector<std::string>> releases_of(const VmPlan& vm, const HostFacts& facts) {
    std::vector<std::vector<std::string>> releases;
    const auto nft = facts.tools.find("nft");
    for (const InterfacePlan& interface : vm.interfaces) {
        if (!has_tap(interface) || limit_of(vm, interface) == 0) { continue; }
        releases.push_back(no_rate(nft == facts.tools.end() ? "nft" : nft->second.path, interface.id));
    }
    return releases;
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
        const bool is_macvtap = interface.type == "macvtap";
        actions.emplace_back(MakeTap{.tap = tap_of(interface),
                                     .machine = vm.runtime_dir,
                                     .bridge = interface.bridge,
                                     .mtu = interface.mtu,
                                     .mode = is_macvtap ? interface.mode : "",
                                     .mac = is_macvtap ? interface.mac : "",
                                     .rate_mib = limit_of(vm, interface),
                                     .owner = vm.vmm_user});
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
