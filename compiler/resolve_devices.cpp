#include "compiler/address.h"
#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/id_map.h"
#include "compiler/identity.h"
#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <unordered_set>

namespace microvmc::resolving {

namespace {

constexpr std::size_t tag_limit = 36; // virtiofs' (virtio 1.2, 5.11.4); 9p has 31, and derived ones keep to that
constexpr std::size_t derived_tag_limit = 31;

void share(const Inputs& in, Draft& draft, const ShareConfig& config) {
    SharePlan plan;
    plan.name = config.name.value;
    plan.read_only = config.read_only.value;
    plan.proto = config.proto.value;
    plan.tag = config.tag ? config.tag->value : derived_tag(plan.name, derived_tag_limit);
    if (plan.tag.empty() || plan.tag.size() > tag_limit) {
        in.diagnostics.error(codes::out_of_range, config.tag->span, fmt::format("a tag has 1 to {} bytes", tag_limit));
    }
    if (config.security_model) { plan.security_model = config.security_model->value; }
    if (config.cache) { plan.cache = config.cache->value; }
    plan.posix_acl = config.posix_acl.value;
    plan.xattr = config.xattr.value;
    plan.dax = config.dax.value;
    for (const auto& [said, map] :
         {std::pair{&config.uid_map, &plan.uid_map}, std::pair{&config.gid_map, &plan.gid_map}}) {
        if (!*said) { continue; }
        *map = (*said)->value;
        if (parse_id_map(*map)) { continue; }
        in.diagnostics.error(codes::bad_text, (*said)->span, fmt::format("`{}` maps no ids", printable(*map))).help =
            "write GUEST:HOST:COUNT, several with commas, or *:HOST for all";
    }
    plan.on_death = config.on_death.value;
    if (config.socket) { plan.socket = config.socket->value; }
    for (const auto& argument : config.extra_args) { plan.extra_args.push_back(argument.value); }
    if (config.source) {
        plan.source = config.source->value;
        const PathFacts* facts = path_facts(in.facts, plan.source);
        if (facts != nullptr && facts->kind != PathFacts::Kind::directory) {
            const bool missing = facts->kind == PathFacts::Kind::missing;
            in.diagnostics
                .error(codes::missing_path, config.source->span,
                       missing ? fmt::format("there is no directory `{}`", plan.source)
                               : fmt::format("`{}` is no directory", plan.source))
                .help = missing ? fmt::format("make it: mkdir -p {}", shell_quoted(plan.source)) : "";
        } else if (facts != nullptr && !facts->readable) {
            in.diagnostics.error(codes::missing_path, config.source->span,
                                 fmt::format("`{}` can't be read", plan.source));
        }
    } else {
        in.diagnostics.error(codes::missing_key, config.name.span, fmt::format("share `{}` has no source", plan.name))
            .help = "name the directory of the host: source = \"www\"";
    }
    if (config.mount_point) {
        plan.mount_point = config.mount_point->value;
    } else {
        in.diagnostics
            .error(codes::missing_key, config.name.span, fmt::format("share `{}` has no mount-point", plan.name))
            .help = "say where the guest mounts it: mount-point = \"/srv\"";
    }
    if (config.socket) {
        const auto decided_by_it = [&](bool given, const Span& span, std::string_view name) {
            if (!given) { return; }
            in.diagnostics
                .error(codes::conflicting_keys, span,
                       fmt::format("`{}` is said to a server, and this one runs already", name))
                .help = "say it where that server is started, or leave `socket` out to have one started";
        };
        decided_by_it(config.cache.has_value(), config.cache ? config.cache->span : Span{}, "cache");
        decided_by_it(config.posix_acl.value, config.posix_acl.span, "posix-acl");
        decided_by_it(config.xattr.value, config.xattr.span, "xattr");
        decided_by_it(config.uid_map.has_value(), config.uid_map ? config.uid_map->span : Span{}, "uid-map");
        decided_by_it(config.gid_map.has_value(), config.gid_map ? config.gid_map->span : Span{}, "gid-map");
        decided_by_it(!config.extra_args.empty(), config.extra_args.empty() ? Span{} : config.extra_args.front().span,
                      "extra-args");
    }
    const std::string key = "shares." + plan.name;
    origin(in, draft.plan, key, config.name.span);
    if (config.source) { origin(in, draft.plan, key + ".source", config.source->span); }
    if (config.mount_point) { origin(in, draft.plan, key + ".mount-point", config.mount_point->span); }
    draft.plan.shares.push_back(std::move(plan));
}

void interface(const Inputs& in, Draft& draft, const InterfaceConfig& config) {
    InterfacePlan plan;
    plan.name = config.name.value;
    plan.type = config.type                       ? config.type->value
                : config.link                     ? "macvtap"
                : config.network || config.bridge ? "tap"
                                                  : "user";
    plan.mac = config.mac ? config.mac->value : derived_mac(in.project, draft.plan.name, plan.name);
    if (config.network) { plan.network = config.network->value; }
    if (config.bridge) { plan.bridge = config.bridge->value; }
    if (config.link) { plan.link = config.link->value; }
    if (config.id) { plan.id = config.id->value; }
    for (const auto& address : config.address) { plan.addresses.push_back(address.value); }
    if (config.gateway) { plan.gateway = config.gateway->value; }
    for (const auto& server : config.dns) { plan.dns.push_back(server.value); }
    plan.mode = config.mode ? config.mode->value : plan.type == "macvtap" ? "bridge" : "";
    if (config.vhost.value != "auto") { plan.vhost = config.vhost.value; }
    if (config.queues) { plan.queues = static_cast<std::uint32_t>(config.queues->value); }
    if (config.mtu) { plan.mtu = static_cast<std::uint32_t>(config.mtu->value); }
    if (config.rate) { plan.rate_mib = static_cast<std::uint64_t>(config.rate->value); }
    plan.managed = config.managed.value;
    plan.allow_spoofing = config.allow_spoofing.value;
    origin(in, draft.plan, "interfaces." + plan.name, config.name.span);
    draft.plan.interfaces.push_back(std::move(plan));
}

void forward(const Inputs& in, Draft& draft, const ForwardConfig& config, InterfacePlan* carrier) {
    ForwardPlan plan;
    plan.name = config.name.value;
    plan.proto = config.proto.value;
    plan.from = config.from.value;
    if (plan.from == "guest" && !(config.host && config.host->port)) {
        in.diagnostics
            .error(codes::missing_key, config.name.span, fmt::format("forward `{}` has no host.port", plan.name))
            .help = "say which port of the host the guest reaches: host.port = 5432";
    }
    if (config.host && config.host->address) { plan.host_address = config.host->address->value; }
    if (config.host && config.host->port) { plan.host_port = static_cast<std::uint16_t>(config.host->port->value); }
    if (config.guest && config.guest->address) { plan.guest_address = config.guest->address->value; }
    if (config.guest && config.guest->port) {
        plan.guest_port = static_cast<std::uint16_t>(config.guest->port->value);
    } else {
        in.diagnostics
            .error(codes::missing_key, config.name.span, fmt::format("forward `{}` has no guest.port", plan.name))
            .help = "say which port of the guest is reached: guest.port = 80";
        return;
    }
    if (carrier == nullptr) {
        in.diagnostics
            .error(codes::forward_without_interface, config.name.span,
                   fmt::format("forward `{}` has no interface to go through", plan.name))
            .help =
            "ports are forwarded by interfaces of type user, or of a [network]; add interfaces.user.type = \"user\"";
        return;
    }
    origin(in, draft.plan, "forward-ports." + plan.name, config.name.span);
    carrier->forwards.push_back(std::move(plan));
}

struct PortKey {
    std::string proto;
    std::uint16_t port = 0;
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes its 0 for a pointer
    friend auto operator<=>(const PortKey&, const PortKey&) = default;
};

const ForwardPlan* earlier_forward(const Draft& draft, const ForwardPlan& forward) {
    if (draft.observed == nullptr || !draft.observed->plan) { return nullptr; }
    for (const InterfacePlan& interface : draft.observed->plan->interfaces) {
        for (const ForwardPlan& each : interface.forwards) {
            if (each.name == forward.name && each.proto == forward.proto && each.host_port >= 20000 &&
                each.host_port <= 29999) {
                return &each;
            }
        }
    }
    return nullptr;
}

/// Where the host's kernel can handle packets it does, but no machine that runs is restarted for that.
void finish_vhost(const Inputs& in, Draft& draft, InterfacePlan& interface) {
    const auto said = std::ranges::find_if(
        draft.config->interfaces, [&](const InterfaceConfig& each) { return each.name.value == interface.name; });
    const bool is_open = said != draft.config->interfaces.end() && said->vhost.value == "auto";
    const bool can =
        !draft.traits->vhost_costs && draft.traits->capability("interface.vhost").support != Support::unsupported;
    // Another user can't open its device.
    if (!is_open || !can || interface.type == "user" || !draft.plan.vmm_user.empty()) { return; }
    if (const VmPlan* running = running_plan(draft.observed)) {
        const auto its = std::ranges::find(running->interfaces, interface.name, &InterfacePlan::name);
        if (its != running->interfaces.end()) {
            interface.vhost = its->vhost;
            return;
        }
    }
    const PathFacts* node = path_facts(in.facts, "/dev/vhost-net");
    interface.vhost = node != nullptr && node->readable && node->writable ? "on" : "off";
}

/// Where a guest connects to reach the host: an address of its user network that nobody else has.
void finish_guest_forward(const Inputs& in, const Draft& draft, const InterfacePlan& interface, ForwardPlan& forward) {
    if (const auto socat = in.facts.tools.find("socat"); socat != in.facts.tools.end()) {
        forward.relay = socat->second.path;
    }
    const auto own = parse_subnet(interface.addresses.front());
    if (!own || own->v6) { return; }
    if (forward.guest_address.empty()) {
        constexpr std::uint32_t unused = 4; // after the gateway, the name server and the file server
        forward.guest_address = address_text(host_of(network_of(*own), unused));
    }
    const auto is_taken = [&](const std::string& address) { return address == forward.guest_address; };
    const auto address = parse_subnet(forward.guest_address);
    const bool taken =
        is_taken(address_text(*own)) || is_taken(interface.gateway) || std::ranges::any_of(interface.dns, is_taken);
    if (address && contains(network_of(*own), *address) && !taken) { return; }
    in.diagnostics
        .error(codes::address_outside, written_at(in, draft, "forward-ports." + forward.name),
               fmt::format("the guest can't reach the host by {}: {}", forward.guest_address,
                           taken ? "it is somebody's already" : "it is not in the guest's network"))
        .help = fmt::format("take another one of {}, or leave guest.address out", subnet_text(network_of(*own)));
}

} // namespace

void devices(const Inputs& in, Draft& draft) {
    const VmConfig& config = *draft.config;
    for (const VolumeConfig& each : config.volumes) { volume(in, draft, each); }
    for (const ShareConfig& each : config.shares) { share(in, draft, each); }
    for (const InterfaceConfig& each : config.interfaces) { interface(in, draft, each); }
    if (config.forward_ports.empty()) { return; }
    if (config.interfaces.empty()) {
        InterfacePlan implied;
        implied.name = "user";
        implied.mac = derived_mac(in.project, draft.plan.name, implied.name);
        draft.plan.interfaces.push_back(std::move(implied));
    }
    const auto can_carry = [](const InterfacePlan& interface) {
        return interface.type == "user" || !interface.network.empty();
    };
    const auto found = std::ranges::find_if(draft.plan.interfaces, can_carry);
    InterfacePlan* carrier = found == draft.plan.interfaces.end() ? nullptr : &*found;
    for (const ForwardConfig& each : config.forward_ports) { forward(in, draft, each, carrier); }
}

void finish_devices(const Inputs& in, Draft& draft) {
    const Traits& traits = *draft.traits;
    for (std::size_t i = 0; i < draft.plan.shares.size(); ++i) { finish_share(in, draft, i); }
    for (InterfacePlan& interface : draft.plan.interfaces) {
        finish_vhost(in, draft, interface);
        if (interface.type != "user" || !traits.user_network) { continue; }
        const auto& network = *traits.user_network;
        if (interface.addresses.empty() || (interface.addresses.size() == 1 && interface.addresses.front() == "dhcp")) {
            interface.addresses = {std::string(network.address)};
        }
        if (interface.gateway.empty()) { interface.gateway = network.gateway; }
        if (interface.dns.empty() && !network.dns.empty()) { interface.dns = {std::string(network.dns)}; }
        for (ForwardPlan& forward : interface.forwards) {
            if (forward.from == "guest") { finish_guest_forward(in, draft, interface, forward); }
        }
    }
}

void host_ports(const Inputs& in, std::vector<Draft>& drafts) {
    std::set<PortKey> taken;
    struct Open {
        Draft* draft;
        ForwardPlan* forward;
    };
    std::vector<Open> open;
    for (Draft& draft : drafts) {
        for (InterfacePlan& interface : draft.plan.interfaces) {
            for (ForwardPlan& forward : interface.forwards) {
                if (forward.from == "guest") { continue; }
                if (forward.host_port != 0) {
                    taken.insert({forward.proto, forward.host_port});
                } else {
                    open.push_back({&draft, &forward});
                }
            }
        }
    }
    // What a machine has had it keeps, before any other is given a number.
    for (const Open& each : open) {
        const ForwardPlan* earlier = earlier_forward(*each.draft, *each.forward);
        if (earlier != nullptr && taken.insert({earlier->proto, earlier->host_port}).second) {
            each.forward->host_port = earlier->host_port;
        }
    }
    for (const Open& each : open) {
        ForwardPlan& forward = *each.forward;
        if (forward.host_port != 0) { continue; }
        std::uint16_t port = derived_port(in.project, each.draft->plan.name, forward.name, forward.proto);
        for (int tries = 0; tries < 10000 && !taken.insert({forward.proto, port}).second; ++tries) {
            port = port == 29999 ? std::uint16_t{20000} : static_cast<std::uint16_t>(port + 1);
            if (tries == 9999) { port = 0; }
        }
        if (port == 0) {
            in.diagnostics.error(codes::no_free_port, each.draft->config->name.span,
                                 fmt::format("no port from 20000 to 29999 is left for `{}`", each.draft->plan.name));
            return;
        }
        forward.host_port = port;
    }
}

} // namespace microvmc::resolving
