// dnsmasq(8) for one network: it listens on the bridge alone, gives each machine the address that the plan has, and
// answers the machines' names; other names it asks the host's servers for.

#include "compiler/address.h"
#include "runtime/error.h"
#include "runtime/network/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace microvmc {

namespace {

std::string file(const NetworkUp& up, std::string_view name) {
    return fmt::format("{}/{}", up.runtime_dir, name);
}

// Its configuration has no quoting for line ends and takes commas for separators.
const std::string& plain(const std::string& text) {
    const bool bad = std::ranges::any_of(
        text, [](unsigned char c) { return c <= ' ' || c == 0x7f || c == ',' || c == '"' || c == '#' || c == '/'; });
    if (bad || text.empty()) { throw Error(fmt::format("`{}` can't be written in dnsmasq's configuration", text)); }
    return text;
}

std::string bare(const std::string& address) {
    return address.substr(0, address.find('/'));
}

// By each of its names, with and without the domain.
template <typename Line> void names_of(const NetworkMember& member, const std::string& domain, const Line& line) {
    for (const std::string& address : member.addresses) {
        if (address == "dhcp" || member.names.empty()) { continue; }
        std::string record = "host-record=";
        for (const std::string& name : member.names) { record += fmt::format("{0}.{1},{0},", plain(name), domain); }
        line(record + bare(address));
    }
}

} // namespace

std::string dnsmasq_config(const NetworkUp& up) {
    const NetworkPlan& network = up.network;
    std::string text;
    const auto line = [&text](const std::string& words) { text += words + '\n'; };
    line("keep-in-foreground");
    line("log-facility=-");
    line("pid-file=" + dnsmasq_pid_file(up));
    line("no-hosts");
    line("bind-dynamic");
    line("except-interface=lo");
    line("interface=" + plain(network.bridge));
    if (network.dns) {
        const std::string& domain = plain(network.domain);
        line("domain=" + domain);
        line("local=/" + domain + "/");
        line("domain-needed");
        line("bogus-priv");
        if (network.mode == "isolated") { line("no-resolv"); } // nothing leads out, not even names
        for (const NetworkMember& member : up.members) { names_of(member, domain, line); }
    } else {
        line("port=0");
    }
    if (!network.dhcp) { return text; }
    line("dhcp-authoritative");
    line("leasefile-ro"); // the plan knows who has which address
    for (const std::string& said : network.subnets) {
        const Subnet subnet = *parse_subnet(said);
        const std::string start = address_text(network_of(subnet));
        if (subnet.v6) {
            line(fmt::format("dhcp-range={},static,{},12h", start, subnet.prefix));
        } else {
            line(fmt::format("dhcp-range={},static,12h", start));
        }
    }
    if (network.mode == "isolated") { line("dhcp-option=option:router"); } // there is none
    if (!network.dns) { line("dhcp-option=option:dns-server"); }
    if (network.mtu != 0) { line(fmt::format("dhcp-option=option:mtu,{}", network.mtu)); }
    for (const NetworkMember& member : up.members) {
        std::string entry = member.mac;
        for (const std::string& address : member.addresses) {
            if (address == "dhcp") { continue; }
            entry += is_ipv6(bare(address)) ? fmt::format(",[{}]", bare(address)) : "," + bare(address);
        }
        if (!member.names.empty()) { entry += ',' + plain(member.names.front()); }
        line("dhcp-host=" + entry);
    }
    return text;
}

std::string dnsmasq_config_file(const NetworkUp& up) {
    return file(up, "dnsmasq.conf");
}

std::string dnsmasq_pid_file(const NetworkUp& up) {
    return file(up, "dnsmasq.pid");
}

Launch dnsmasq_launch(const NetworkUp& up) {
    Launch launch;
    launch.project = up.project;
    launch.vm = "network " + up.network.name;
    launch.children = {
        {.role = "dnsmasq", .argv = {up.dnsmasq, "--conf-file=" + dnsmasq_config_file(up)}, .await_socket = {}}};
    launch.ready_kind = "init";
    launch.runtime_dir = up.runtime_dir;
    launch.console_log = file(up, "console.log");
    launch.vmm_log = file(up, "log");
    launch.end_file = file(up, "end.json");
    return launch;
}

} // namespace microvmc
