// Addresses of machines that leave theirs to a network of the project: decided here, so that the plan shows them, DNS
// knows them before the machine starts, and its DHCP server hands out the same.

#include "compiler/address.h"
#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>
#include <unordered_set>

namespace microvmc::resolving {

namespace {

using Taken = std::unordered_set<std::string>; ///< address_text

/// How many machines a subnet has room for beside its own address, the gateway's and the broadcast.
std::uint64_t room(const Subnet& subnet) {
    const unsigned host_bits = std::min(subnet.bits() - subnet.prefix, 32U);
    const std::uint64_t all = std::uint64_t{1} << host_bits;
    return all - std::min<std::uint64_t>(all, subnet.v6 ? 2 : 3);
}

/// The MAC's last four bytes, which are a hash where it is derived.
std::uint64_t number_of(const std::string& mac) {
    std::uint64_t number = 0;
    for (const char c : mac) {
        if (c == ':') { continue; }
        number = number << 4 | static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return number & 0xffff'ffffU;
}

/// The address that the interface had, when it is one of this subnet.
std::optional<Subnet> earlier_address(const Draft& draft, const InterfacePlan& interface, const Subnet& subnet) {
    if (draft.observed == nullptr || !draft.observed->plan) { return std::nullopt; }
    const auto& interfaces = draft.observed->plan->interfaces;
    const auto before = std::ranges::find(interfaces, interface.name, &InterfacePlan::name);
    if (before == interfaces.end() || before->network != interface.network) { return std::nullopt; }
    for (const std::string& text : before->addresses) {
        auto address = parse_subnet(text);
        if (address && contains(subnet, *address)) { return address; }
    }
    return std::nullopt;
}

/// From where the MAC leads, the first that is free; none: the subnet is full.
std::optional<Subnet> open_address(const Subnet& subnet, const std::string& mac, Taken& taken) {
    const std::uint64_t most = room(subnet);
    const std::uint64_t first = most == 0 ? 0 : number_of(mac) % most;
    for (std::uint64_t tries = 0; tries < most && tries <= taken.size(); ++tries) {
        const Subnet address = host_of(subnet, static_cast<std::uint32_t>(2 + (first + tries) % most));
        if (taken.insert(address_text(address)).second) { return address; }
    }
    return std::nullopt;
}

struct Open {
    Draft* draft;
    InterfacePlan* interface;
    const NetworkPlan* network;
};

} // namespace

void addresses(const Inputs& in, const Plan& plan, std::vector<Draft>& drafts) {
    if (plan.networks.empty()) { return; }
    std::unordered_map<std::string_view, Taken> taken;
    std::vector<Open> open;
    for (Draft& draft : drafts) {
        for (InterfacePlan& interface : draft.plan.interfaces) {
            const auto network = std::ranges::find(plan.networks, interface.network, &NetworkPlan::name);
            if (network == plan.networks.end()) { continue; }
            if (interface.addresses == std::vector<std::string>{"dhcp"}) {
                if (network->managed) { open.push_back({&draft, &interface, &*network}); }
                continue;
            }
            for (const std::string& said : interface.addresses) {
                taken[network->name].insert(said.substr(0, said.find('/')));
            }
        }
    }
    // What a machine has had it keeps, before any other is given one.
    std::unordered_map<const InterfacePlan*, std::vector<std::optional<Subnet>>> kept;
    for (const Open& each : open) {
        for (const std::string& text : each.network->subnets) {
            auto earlier = earlier_address(*each.draft, *each.interface, *parse_subnet(text));
            if (earlier && !taken[each.network->name].insert(address_text(*earlier)).second) { earlier.reset(); }
            if (earlier) { kept[each.interface].push_back(earlier); }
        }
    }
    for (const Open& each : open) {
        std::vector<std::string> found;
        for (const std::string& text : each.network->subnets) {
            const Subnet subnet = *parse_subnet(text);
            std::optional<Subnet> address;
            for (const auto& earlier : kept[each.interface]) {
                if (earlier && contains(subnet, *earlier)) { address = earlier; }
            }
            if (!address) { address = open_address(subnet, each.interface->mac, taken[each.network->name]); }
            if (!address) {
                in.diagnostics
                    .error(codes::address_outside, each.draft->config->name.span,
                           fmt::format("no address of {} is left for `{}`", text, each.draft->plan.name))
                    .help = fmt::format("give the network `{}` a larger subnet", each.network->name);
                break;
            }
            found.push_back(fmt::format("{}/{}", address_text(*address), subnet.prefix));
        }
        if (found.empty()) { continue; }
        each.interface->addresses = std::move(found);
        if (each.interface->gateway.empty() && each.network->mode != "isolated") {
            each.interface->gateway = address_text(host_of(*parse_subnet(each.network->subnets.front()), 1));
        }
        if (each.interface->dns.empty() && each.network->dns) {
            each.interface->dns = {address_text(host_of(*parse_subnet(each.network->subnets.front()), 1))};
        }
    }
}

} // namespace microvmc::resolving
