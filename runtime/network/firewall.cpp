// The network's rules, as nft(8) reads them. Two tables, named after the bridge: `inet` for what is routed, `bridge`
// for who may send as whom. One of `netdev`, named after the tap, for what a machine's interface is limited to; it
// outlives the interface. A name that nft's syntax can't quote is refused.

#include "runtime/error.h"
#include "runtime/network/network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace microvmc {

namespace {

// nft quotes strings, and has no escape in them (nftables: src/scanner.l).
std::string in_quotes(std::string_view name) {
    const bool plain = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '*';
    });
    if (!plain) {
        throw Error(fmt::format("the interface name `{}` can't be written in a firewall rule", name),
                    "use letters, digits, `-`, `_` and `.`");
    }
    return fmt::format("\"{}\"", name);
}

// The name of a table is a bare word, and says whose it is.
std::string table_of(const std::string& bridge) {
    const bool plain = std::ranges::all_of(bridge, [](unsigned char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
               c == '.';
    });
    if (!plain) {
        throw Error(fmt::format("the interface name `{}` can't be written in a firewall rule", bridge),
                    "use letters, digits, `-`, `_` and `.`");
    }
    return "microvmc-" + bridge;
}

bool is_v6(std::string_view address) {
    return address.find(':') != std::string_view::npos;
}

std::string_view family(std::string_view address) {
    return is_v6(address) ? "ip6" : "ip";
}

std::string bare(const std::string& address) {
    return address.substr(0, address.find('/'));
}

std::string of_family(const std::vector<std::string>& addresses, bool v6) {
    std::vector<std::string> found;
    for (const std::string& address : addresses) {
        if (is_v6(address) == v6 && address != "dhcp") { found.push_back(bare(address)); }
    }
    return fmt::format("{}", fmt::join(found, ", "));
}

// The guest's end of a forward: its own word, else the machine's address of the family that is asked for.
std::string forward_target(const NetworkMember& member, const ForwardPlan& forward) {
    if (!forward.guest_address.empty()) { return forward.guest_address; }
    const bool v6 = is_v6(forward.host_address);
    for (const std::string& address : member.addresses) {
        if (address != "dhcp" && is_v6(address) == v6) { return bare(address); }
    }
    return {};
}

std::string forward_rule(const NetworkMember& member, const ForwardPlan& forward) {
    const std::string target = forward_target(member, forward);
    if (target.empty() || forward.from != "host") { return {}; }
    const bool v6 = is_v6(forward.host_address);
    const bool any = forward.host_address == "0.0.0.0" || forward.host_address == "::";
    const std::string where = any ? fmt::format("meta nfproto {} fib daddr type local", v6 ? "ipv6" : "ipv4")
                                  : fmt::format("{} daddr {}", family(forward.host_address), forward.host_address);
    const std::string to =
        v6 ? fmt::format("[{}]:{}", target, forward.guest_port) : fmt::format("{}:{}", target, forward.guest_port);
    return fmt::format("{} {} dport {} dnat {} to {}", where, forward.proto, forward.host_port, family(target), to);
}

class Rules {
public:
    void open(std::string_view line) { add(fmt::format("{} {{", line)), ++depth_; }
    void add(std::string_view line) { text_.append(depth_ * 4, ' ').append(line).push_back('\n'); }
    void close() { --depth_, add("}"); }
    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string text_;
    std::size_t depth_ = 0;
};

void routed(Rules& rules, const NetworkUp& up) {
    const std::string bridge = in_quotes(up.network.bridge);
    const std::string out =
        up.network.uplink.empty() ? "oifname != " + bridge : "oifname " + in_quotes(up.network.uplink);
    const bool isolated = up.network.mode == "isolated";
    const bool nat = up.network.mode == "nat";

    rules.open("chain forward");
    rules.add("type filter hook forward priority filter; policy accept;");
    if (isolated) {
        rules.add(fmt::format("iifname {0} oifname != {0} drop", bridge));
    } else if (!up.network.uplink.empty()) {
        rules.add(fmt::format("iifname {0} oifname != {{ {0}, {1} }} drop", bridge, in_quotes(up.network.uplink)));
    }
    if (up.network.mode != "routed") {
        rules.add(fmt::format("oifname {} ct state established,related accept", bridge));
        rules.add(fmt::format("oifname {} ct status dnat accept", bridge));
        rules.add(fmt::format("iifname != {0} oifname {0} drop", bridge));
    }
    rules.close();

    std::vector<std::string> forwards;
    for (const NetworkMember& member : up.members) {
        for (const ForwardPlan& forward : member.forwards) {
            std::string rule = forward_rule(member, forward);
            if (!rule.empty()) { forwards.push_back(std::move(rule)); }
        }
    }
    if (!forwards.empty()) {
        // A guest's own packets to the host's loopback, which route_localnet would let in.
        rules.open("chain guard");
        rules.add("type filter hook prerouting priority raw; policy accept;");
        rules.add(fmt::format("iifname {} ip daddr 127.0.0.0/8 drop", bridge));
        rules.close();
        for (const std::string_view hook : {"prerouting", "output"}) {
            rules.open(fmt::format("chain forwards-{}", hook));
            rules.add(fmt::format("type nat hook {} priority -100; policy accept;", hook));
            for (const std::string& rule : forwards) { rules.add(rule); }
            rules.close();
        }
    }
    rules.open("chain postrouting");
    rules.add("type nat hook postrouting priority srcnat; policy accept;");
    // The host's loopback is no address that a guest could answer to.
    if (!forwards.empty()) { rules.add(fmt::format("oifname {} ip saddr 127.0.0.0/8 masquerade", bridge)); }
    if (nat) {
        for (const std::string& subnet : up.network.subnets) {
            rules.add(fmt::format("{} saddr {} {} masquerade", family(subnet), subnet, out));
        }
    }
    rules.close();
}

void senders(Rules& rules, const NetworkUp& up) {
    rules.open("chain senders");
    rules.add("type filter hook prerouting priority filter; policy accept;");
    for (const NetworkMember& member : up.members) {
        if (member.allow_spoofing) { continue; }
        const std::string from = "iifname " + in_quotes(member.tap);
        rules.add(fmt::format("{} ether saddr != {} drop", from, member.mac));
        const std::string v4 = of_family(member.addresses, false);
        const std::string v6 = of_family(member.addresses, true);
        if (v4.empty() && v6.empty()) { continue; } // it gets its address from somebody else
        rules.add(fmt::format("{} ip saddr != {{ 0.0.0.0{}{} }} drop", from, v4.empty() ? "" : ", ", v4));
        rules.add(fmt::format("{} arp saddr ip != {{ 0.0.0.0{}{} }} drop", from, v4.empty() ? "" : ", ", v4));
        rules.add(fmt::format("{} ip6 saddr != {{ ::, fe80::/10{}{} }} drop", from, v6.empty() ? "" : ", ", v6));
    }
    rules.close();
}

// Naming a table makes it, so that deleting it can't fail.
void remove_tables(Rules& rules, const std::string& bridge) {
    for (const std::string_view table_family : {"inet", "bridge"}) {
        rules.add(fmt::format("table {} {}", table_family, table_of(bridge)));
        rules.add(fmt::format("delete table {} {}", table_family, table_of(bridge)));
    }
}

} // namespace

std::string firewall_text(const NetworkUp& up) {
    Rules rules;
    remove_tables(rules, up.network.bridge);
    rules.open("table inet " + table_of(up.network.bridge));
    routed(rules, up);
    rules.close();
    rules.open("table bridge " + table_of(up.network.bridge));
    senders(rules, up);
    rules.close();
    return rules.text();
}

std::string rate_text(const std::string& interface, std::uint64_t rate_mib) {
    // What may come at once: at least two of the largest packets that a guest hands over, 64 KiB each.
    const std::uint64_t rate = rate_mib << 20U;
    const std::uint64_t burst = std::max<std::uint64_t>(rate / 8, std::uint64_t{128} << 10U);
    Rules rules;
    const std::string table = "netdev " + table_of(interface);
    rules.add("table " + table);
    rules.add("delete table " + table);
    rules.open("table " + table);
    for (const std::string_view hook : {"ingress", "egress"}) {
        rules.open(fmt::format("chain {}", hook));
        rules.add(fmt::format("type filter hook {} device {} priority 0; policy accept;", hook, in_quotes(interface)));
        rules.add(fmt::format("limit rate over {} bytes/second burst {} bytes drop", rate, burst));
        rules.close();
    }
    rules.close();
    return rules.text();
}

std::vector<std::string> no_rate(const std::string& nft, const std::string& interface) {
    return {nft, "delete", "table", "netdev", table_of(interface)};
}

std::string no_firewall_text(const std::string& bridge) {
    Rules rules;
    remove_tables(rules, bridge);
    return rules.text();
}

} // namespace microvmc
