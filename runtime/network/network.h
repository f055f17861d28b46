#pragma once

#include "compiler/plan.h"
#include "runtime/launch.h"

#include <string>
#include <vector>

// A network of a project on the host: a bridge, nftables rules in tables of its own, and dnsmasq for addresses and
// names. All of it is there while a machine of it runs. The texts are pure; the rest throws Error.

namespace microvmc {

/// An interface of a machine that is in the network.
struct NetworkMember {
    std::vector<std::string> names; ///< that DNS knows it by
    std::string tap;
    std::string mac;
    std::vector<std::string> addresses; ///< with prefix length
    bool allow_spoofing = false;
    std::vector<ForwardPlan> forwards;

    friend bool operator==(const NetworkMember&, const NetworkMember&) = default;
};

struct NetworkUp {
    std::string project;
    NetworkPlan network;
    std::vector<NetworkMember> members; ///< of all machines, running or not
    std::string runtime_dir;            ///< its own: dnsmasq's supervisor and files
    std::string dnsmasq;                ///< absolute path; empty: neither DHCP nor DNS

    friend bool operator==(const NetworkUp&, const NetworkUp&) = default;
};

/// Its runtime directory, from that of a machine in it.
std::string network_runtime_dir(const std::string& machine_runtime_dir, const std::string& network);
/// What a bridge or tap of ours is marked with: whose it is, as a runtime directory tells one from all others.
std::string link_alias(const std::string& runtime_dir);
/// The gateway's addresses, with prefix length: the first of each subnet.
std::vector<std::string> gateway_addresses(const NetworkPlan& network);

/// nft(8) commands that put the network's tables in place of what they were, in one transaction.
std::string firewall_text(const NetworkUp& up);
/// The same that takes them away.
std::string no_firewall_text(const std::string& bridge);

/// nft(8) commands that have an interface drop what is beyond `rate_mib` a second, each way.
std::string rate_text(const std::string& interface, std::uint64_t rate_mib);
/// The words of nft(8)'s command line that take that away.
std::vector<std::string> no_rate(const std::string& nft, const std::string& interface);

/// dnsmasq(8)'s configuration, all of it in one file: it is read before privileges are dropped.
std::string dnsmasq_config(const NetworkUp& up);
std::string dnsmasq_config_file(const NetworkUp& up);
/// Is there when it answers.
std::string dnsmasq_pid_file(const NetworkUp& up);
/// How its supervisor runs it.
Launch dnsmasq_launch(const NetworkUp& up);

/// Limits an interface; `no_rate` is the undoing, also when the interface is gone.
void limit_rate(const std::string& interface, std::uint64_t rate_mib);
void unlimit_rate(const std::string& interface);

/// Makes what lacks of it and changes what differs; false when the bridge was there. What it made is taken away again
/// when it fails.
bool bring_up(const NetworkUp& up, const std::string& supervisor);

/// Takes it away, unless a port is left on its bridge or the bridge is another's: then false.
bool take_down(const std::string& bridge, const std::string& runtime_dir);

} // namespace microvmc
