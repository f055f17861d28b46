#include "compiler/address.h"
#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/identity.h"
#include "compiler/text.h"
#include "compiler/unique.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

namespace microvmc::resolving {

namespace {

/// A subnet that is spoken for.
struct TakenSubnet {
    Subnet subnet;
    Span span;
    std::string_view network;
};

std::optional<Subnet> said_subnet(const Inputs& in, const Located<std::string>& said) {
    const auto subnet = parse_subnet(said.value);
    if (!subnet || said.value.find('/') == std::string::npos) {
        in.diagnostics.error(codes::bad_address, said.span, fmt::format("`{}` is no subnet", printable(said.value)))
            .help = "it is written \"10.9.0.0/24\" or \"fd09::/64\"";
        return std::nullopt;
    }
    if (subnet->prefix + 2 > subnet->bits()) {
        in.diagnostics.error(codes::bad_address, said.span,
                             fmt::format("`{}` has no room for a gateway and a machine", said.value));
        return std::nullopt;
    }
    if (!is_network_address(*subnet)) {
        in.diagnostics.error(codes::bad_address, said.span, fmt::format("`{}` is an address in a subnet", said.value))
            .help = fmt::format("the subnet is \"{}\"", subnet_text(network_of(*subnet)));
        return std::nullopt;
    }
    return subnet;
}

void say_overlap(const Inputs& in, const Located<std::string>& said, const TakenSubnet& other) {
    in.diagnostics
        .error(codes::overlapping_networks, said.span,
               fmt::format("`{}` has addresses of the network `{}`", said.value, other.network))
        .notes.push_back({other.span, fmt::format("which has {}", subnet_text(other.subnet))});
}

/// The first free one, from where the names lead.
std::string open_subnet(const Inputs& in, const Located<std::string>& network, const std::vector<TakenSubnet>& taken) {
    Subnet subnet = *parse_subnet(derived_subnet(in.project, network.value));
    for (int tries = 0; tries < 65536; ++tries) {
        const bool is_taken =
            std::ranges::any_of(taken, [&](const TakenSubnet& each) { return overlap(each.subnet, subnet); });
        if (!is_taken) { return subnet_text(subnet); }
        if (++subnet.bytes[2] == 0) { ++subnet.bytes[1]; }
    }
    in.diagnostics
        .error(codes::overlapping_networks, network.span,
               fmt::format("no subnet of 10.0.0.0/8 is left for the network `{}`", network.value))
        .help = "say which it has: subnet = \"192.168.9.0/24\"";
    return subnet_text(subnet);
}

/// Names of things on the host, said or derived; a derived one gives way.
std::string open_name(const std::unordered_set<std::string_view>& taken, const std::string& project,
                      std::string_view vm, const InterfaceConfig& said, const InterfacePlan& plan) {
    const std::string mac = said.mac ? derived_mac(project, vm, plan.name) : plan.mac;
    std::string name = derived_tap(mac);
    for (int i = 2; taken.contains(name); ++i) {
        name = derived_tap(derived_mac(project, vm, fmt::format("{}#{}", plan.name, i)));
    }
    return name;
}

/// An interface with what was written of it.
struct Written {
    const InterfaceConfig& said;
    InterfacePlan& plan;
};

void missing(const Inputs& in, const Written& interface, std::string_view key, std::string help) {
    in.diagnostics
        .error(codes::missing_key, interface.said.name.span,
               fmt::format("interface `{}` of type {} has no {}", interface.plan.name, interface.plan.type, key))
        .help = std::move(help);
}

/// What keeps a guest from having this address in its network; empty: nothing.
std::string against(const Subnet& address, const Subnet& within) {
    const Subnet inside{address.v6, address.bytes, within.prefix};
    if (is_network_address(inside)) { return "it is the network's own"; }
    if (is_broadcast(inside)) { return "it is the network's broadcast address"; }
    if (address_text(address) == address_text(host_of(within, 1))) { return "it is the gateway's"; }
    return {};
}

/// One address that a machine was given in a network of the project: as the plan has it, or empty after reporting.
std::string address_in(const Inputs& in, const NetworkPlan& network, const Located<std::string>& said) {
    const Subnet address = *parse_subnet(said.value);
    for (const std::string& text : network.subnets) {
        const Subnet subnet = *parse_subnet(text);
        if (!contains(subnet, address)) { continue; }
        const std::string problem = against(address, subnet);
        if (!problem.empty()) {
            in.diagnostics.error(codes::address_outside, said.span,
                                 fmt::format("no machine of `{}` can have {}: {}", network.name, said.value, problem));
            return {};
        }
        return fmt::format("{}/{}", address_text(address), subnet.prefix);
    }
    in.diagnostics
        .error(codes::address_outside, said.span,
               fmt::format("{} is not in the network `{}`", said.value, network.name))
        .help = fmt::format("its addresses are {}",
                            list_or(std::vector<std::string_view>(network.subnets.begin(), network.subnets.end())));
    return {};
}

void addresses_in(const Inputs& in, const NetworkPlan& network, const Written& interface) {
    InterfacePlan& plan = interface.plan;
    plan.bridge = network.bridge;
    if (plan.addresses.empty()) {
        if (network.dhcp) {
            plan.addresses = {"dhcp"};
        } else {
            missing(in, interface, "address",
                    fmt::format("the network `{}` has no DHCP; give it one of {}", network.name,
                                network.subnets.empty() ? "its subnet" : network.subnets.front()));
        }
    }
    if (plan.addresses.size() == 1 && plan.addresses.front() == "dhcp") {
        if (!network.dhcp && !interface.said.address.empty()) {
            in.diagnostics
                .error(codes::conflicting_keys, interface.said.address.front().span,
                       fmt::format("the network `{}` has no DHCP", network.name))
                .help = "give the interface an address of the network";
        }
        return;
    }
    plan.addresses.clear();
    for (const auto& said : interface.said.address) {
        const std::string address = address_in(in, network, said);
        if (address.empty()) { continue; }
        plan.addresses.push_back(address);
        const Subnet subnet = *parse_subnet(address);
        if (plan.gateway.empty() && network.mode != "isolated") {
            plan.gateway = address_text(host_of(network_of(subnet), 1));
        }
        if (plan.dns.empty() && network.dns) { plan.dns = {address_text(host_of(network_of(subnet), 1))}; }
    }
}

void addresses_elsewhere(const Inputs& in, const Written& interface) {
    if (interface.plan.addresses.empty()) { interface.plan.addresses = {"dhcp"}; }
    for (const auto& said : interface.said.address) {
        if (said.value == "dhcp" || said.value.find('/') != std::string::npos) { continue; }
        in.diagnostics.error(codes::bad_address, said.span, fmt::format("{} needs a prefix length here", said.value))
            .help = fmt::format("without a [network] it can't be known; write \"{}/{}\"", said.value,
                                said.value.find(':') == std::string::npos ? 24 : 64);
    }
}

/// Addresses that were given, by what the interfaces share.
void add_addresses(Unique<std::string>& taken, const Written& interface) {
    const InterfacePlan& plan = interface.plan;
    const std::string& where = !plan.network.empty() ? plan.network : !plan.bridge.empty() ? plan.bridge : plan.link;
    if (where.empty()) { return; }
    for (const auto& said : interface.said.address) {
        if (said.value == "dhcp") { continue; }
        const std::string address = address_text(*parse_subnet(said.value));
        taken.add(fmt::format("{} {}", where, address), said.span,
                  [&] { return fmt::format("two interfaces of `{}` have the address {}", where, address); });
    }
}

/// What making it on the host takes.
void check_host(const Inputs& in, const Plan& plan, const Written& interface) {
    if (!interface.plan.managed) { return; }
    if (in.facts.uid != 0) {
        in.diagnostics
            .error(codes::needs_root, interface.said.name.span,
                   fmt::format("interface `{}` of type {} needs root", interface.plan.name, interface.plan.type))
            .help = "apply it as root, or use type = \"user\"";
    }
    const auto network = std::ranges::find(plan.networks, interface.plan.network, &NetworkPlan::name);
    if (network == plan.networks.end() || !network->managed) { return; }
    const auto need = [&](const char* tool, std::string_view what, std::string help) {
        if (in.facts.tools.contains(tool)) { return; }
        in.diagnostics
            .error(codes::no_tool, interface.said.name.span,
                   fmt::format("the network `{}` needs {} for {}, and it is not installed", network->name, tool, what))
            .help = std::move(help);
    };
    need("nft", "its rules", "apt install nftables");
    if (network->dhcp || network->dns) {
        need("dnsmasq", "DHCP and DNS",
             fmt::format("apt install dnsmasq-base, or say dhcp = false and dns = false in [network.{}]",
                         network->name));
    }
}

} // namespace

void networks(const Inputs& in, Plan& plan) {
    std::vector<TakenSubnet> taken;
    Unique<std::string> bridges(in.diagnostics, codes::duplicate_interface_id);
    for (const NetworkConfig& config : in.config.networks) {
        for (const auto& said : config.subnet) {
            const auto subnet = said_subnet(in, said);
            if (!subnet) { continue; }
            const auto other =
                std::ranges::find_if(taken, [&](const TakenSubnet& each) { return overlap(each.subnet, *subnet); });
            if (other != taken.end()) { say_overlap(in, said, *other); }
            taken.push_back({*subnet, said.span, config.name.value});
        }
    }
    for (const NetworkConfig& config : in.config.networks) {
        NetworkPlan network;
        network.name = config.name.value;
        network.mode = config.mode.value;
        for (const auto& said : config.subnet) {
            if (parse_subnet(said.value)) { network.subnets.push_back(said.value); }
        }
        if (config.subnet.empty()) {
            network.subnets = {open_subnet(in, config.name, taken)};
            taken.push_back({*parse_subnet(network.subnets.front()), config.name.span, config.name.value});
        }
        network.bridge = config.bridge ? config.bridge->value : derived_bridge(in.project, network.name);
        bridges.add(network.bridge, config.bridge ? config.bridge->span : config.name.span,
                    [&] { return fmt::format("two networks have the bridge `{}`", printable(network.bridge)); });
        network.managed = config.managed.value;
        if (config.uplink) { network.uplink = config.uplink->value; }
        network.dhcp = config.dhcp.value;
        network.dns = config.dns.value;
        network.domain = config.domain ? config.domain->value : network.name;
        if (config.mtu) { network.mtu = static_cast<std::uint32_t>(config.mtu->value); }
        plan.networks.push_back(std::move(network));
    }
}

void host_names(const Inputs& in, const Plan& plan, std::vector<Draft>& drafts) {
    std::unordered_set<std::string_view> names; // of the plans
    for (const NetworkPlan& network : plan.networks) { names.insert(network.bridge); }
    for (const Draft& draft : drafts) {
        for (const InterfacePlan& interface : draft.plan.interfaces) {
            if (!interface.id.empty()) { names.insert(interface.id); }
        }
    }
    Unique<std::string> addresses(in.diagnostics, codes::duplicate_address);
    for (Draft& draft : drafts) {
        for (InterfacePlan& interface : draft.plan.interfaces) {
            if (interface.type == "user") { continue; }
            const auto said = std::ranges::find_if(draft.config->interfaces, [&](const InterfaceConfig& each) {
                return each.name.value == interface.name;
            });
            const Written written{*said, interface};
            if (interface.id.empty()) {
                interface.id = open_name(names, in.project, draft.plan.name, *said, interface);
                names.insert(interface.id);
            }
            check_host(in, plan, written);
            if (interface.type == "macvtap" && interface.link.empty()) {
                missing(in, written, "link", "name the host's interface: link = \"eth0\"");
            }
            if (interface.type == "bridge" && interface.bridge.empty()) {
                missing(in, written, "bridge", "name the host's bridge: bridge = \"br0\"");
            }
            const auto network = std::ranges::find(plan.networks, interface.network, &NetworkPlan::name);
            if (network != plan.networks.end()) {
                addresses_in(in, *network, written);
            } else if (interface.network.empty()) {
                addresses_elsewhere(in, written);
            }
            add_addresses(addresses, written);
        }
    }
}

void cids(const Inputs& in, std::vector<Draft>& drafts) {
    std::unordered_set<std::uint32_t> taken;
    std::vector<Draft*> open;
    for (Draft& draft : drafts) {
        if (!draft.config->vsock) { continue; }
        const auto& said = draft.config->vsock->cid;
        if (said && said->value != "auto") {
            draft.plan.vsock_cid = static_cast<std::uint32_t>(parse_number(said->value).value_or(0));
            taken.insert(draft.plan.vsock_cid);
        } else {
            open.push_back(&draft);
        }
    }
    // What a machine has had it keeps, before any other is given a number.
    for (Draft* draft : open) {
        if (draft->observed == nullptr || !draft->observed->plan) { continue; }
        const std::uint32_t earlier = draft->observed->plan->vsock_cid;
        if (earlier != 0 && taken.insert(earlier).second) { draft->plan.vsock_cid = earlier; }
    }
    for (Draft* draft : open) {
        if (draft->plan.vsock_cid != 0) { continue; }
        std::uint32_t cid = derived_cid(in.project, draft->plan.name);
        while (!taken.insert(cid).second) { ++cid; }
        draft->plan.vsock_cid = cid;
    }
}

} // namespace microvmc::resolving
