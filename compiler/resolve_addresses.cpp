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

/// A network whose subnets are read.
struct Read {
    const NetworkPlan* plan;
    std::vector<Subnet> subnets;
    std::string own; ///< its address in the first of them: of the gateway and the name server
    Taken taken;
};

struct Open {
    Draft* draft;
    InterfacePlan* interface;
    Read* network;
};

std::vector<Read> read(const std::vector<NetworkPlan>& networks) {
    std::vector<Read> all;
    for (const NetworkPlan& network : networks) {
        Read& each = all.emplace_back(Read{.plan = &network, .subnets = {}, .own = {}, .taken = {}});
        for (const std::string& text : network.subnets) {
            each.subnets.push_back(parse_subnet(text).value_or(Subnet{}));
        }
        if (!each.subnets.empty()) { each.own = address_text(host_of(each.subnets.front(), 1)); }
    }
    return all;
}

} // namespace

void addresses(const Inputs& in, const Plan& plan, std::vector<Draft>& drafts) {
    if (plan.networks.empty()) { return; }
    std::vector<Read> networks = read(plan.networks);
    std::vector<Open> open;
    for (Draft& draft : drafts) {
        for (InterfacePlan& interface : draft.plan.interfaces) {
            const auto network =
                std::ranges::find_if(networks, [&](const Read& each) { return each.plan->name == interface.network; });
            if (network == networks.end()) { continue; }
            if (interface.addresses.size() == 1 && interface.addresses.front() == "dhcp") {
                if (network->plan->managed) { open.push_back({&draft, &interface, &*network}); }
                continue;
            }
            for (const std::string& said : interface.addresses) {
                network->taken.insert(said.substr(0, said.find('/')));
            }
        }
    }
    // What a machine has had it keeps, before any other is given one.
    std::unordered_map<const InterfacePlan*, std::vector<Subnet>> kept;
    for (const Open& each : open) {
        for (const Subnet& subnet : each.network->subnets) {
            const auto earlier = earlier_address(*each.draft, *each.interface, subnet);
            if (earlier && each.network->taken.insert(address_text(*earlier)).second) {
                kept[each.interface].push_back(*earlier);
            }
        }
    }
    for (const Open& each : open) {
        const NetworkPlan& network = *each.network->plan;
        const auto had = kept.find(each.interface);
        std::vector<std::string> found;
        for (std::size_t i = 0; i < network.subnets.size(); ++i) {
            const Subnet& subnet = each.network->subnets[i];
            std::optional<Subnet> address;
            if (had != kept.end()) {
                for (const Subnet& earlier : had->second) {
                    if (contains(subnet, earlier)) { address = earlier; }
                }
            }
            if (!address) { address = open_address(subnet, each.interface->mac, each.network->taken); }
            if (!address) {
                in.diagnostics
                    .error(codes::address_outside, each.draft->config->name.span,
                           fmt::format("no address of {} is left for `{}`", network.subnets[i], each.draft->plan.name))
                    .help = fmt::format("give the network `{}` a larger subnet", network.name);
                break;
            }
            found.push_back(fmt::format("{}/{}", address_text(*address), subnet.prefix));
        }
        if (found.empty()) { continue; }
        each.interface->addresses = std::move(found);
        if (each.interface->gateway.empty() && network.mode != "isolated") {
            each.interface->gateway = each.network->own;
        }
        if (each.interface->dns.empty() && network.dns) { each.interface->dns = {each.network->own}; }
    }
}

} // namespace microvmc::resolving
