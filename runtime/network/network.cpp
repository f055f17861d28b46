#include "runtime/network/network.h"

#include "compiler/address.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/machine.h"
#include "runtime/network/links.h"
#include "runtime/process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace microvmc {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds server_timeout{5'000}; // dnsmasq answers within some 20 ms

void run_nft(const std::string& text) {
    const Ran ran = run_program({"nft", "-f", "-"}, {.input = text, .cwd = {}, .inherit = {}});
    if (ran.status != 0) {
        // Its first line says what; the others show where.
        throw Error("nft refused the network's rules: " + ran.err.substr(0, ran.err.find('\n')));
    }
}

void write_setting(const std::string& path, const std::string& value) {
    if (read_file(path) == value + '\n') { return; }
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd || ::write(fd.get(), value.data(), value.size()) < 0) {
        throw Error(fmt::format("can't set {} to {}: {}", path, value, std::strerror(errno)));
    }
}

// The interfaces that default routes lead out of (linux: net/ipv4/fib_trie.c, fib_route_seq_show).
std::vector<std::string> default_links() {
    std::vector<std::string> links;
    std::istringstream routes(read_file("/proc/net/route").value_or(""));
    std::string line;
    while (std::getline(routes, line)) {
        std::istringstream fields(line);
        std::string link;
        std::string destination;
        if (fields >> link >> destination && destination == "00000000") { links.push_back(link); }
    }
    return links;
}

// IPv4 is forwarded between our bridge and the way out alone; other interfaces stay as they were.
void forward_packets(const NetworkPlan& network, bool to_loopback) {
    const auto conf = [](const std::string& link, const char* key) {
        return fmt::format("/proc/sys/net/ipv4/conf/{}/{}", link, key);
    };
    if (to_loopback) { write_setting(conf(network.bridge, "route_localnet"), "1"); }
    if (network.mode == "isolated") { return; }
    write_setting(conf(network.bridge, "forwarding"), "1");
    const std::vector<std::string> out =
        network.uplink.empty() ? default_links() : std::vector<std::string>{network.uplink};
    for (const std::string& link : out) { write_setting(conf(link, "forwarding"), "1"); }
}

bool has_forwards(const NetworkUp& up) {
    return std::ranges::any_of(up.members, [](const NetworkMember& member) { return !member.forwards.empty(); });
}

bool wants_dnsmasq(const NetworkUp& up) {
    return !up.dnsmasq.empty() && (up.network.dhcp || up.network.dns);
}

void stop_dnsmasq(const std::string& runtime_dir) {
    stop_machine(runtime_dir, milliseconds(0), StopKind::kill);
    clean_stale(runtime_dir);
}

void start_dnsmasq(const NetworkUp& up, const std::string& supervisor) {
    const std::string config = dnsmasq_config(up);
    const std::string file = dnsmasq_config_file(up);
    if (is_locked(up.runtime_dir) && read_file(file) == config) { return; }
    stop_dnsmasq(up.runtime_dir);
    make_directories(up.runtime_dir, 0700);
    ::unlink(dnsmasq_pid_file(up).c_str());
    write_whole(file, config, 0600);
    start_supervisor(supervisor, dnsmasq_launch(up));
    for (const auto deadline = steady_clock::now() + server_timeout; steady_clock::now() < deadline;) {
        if (file_identity(dnsmasq_pid_file(up))) { return; }
        if (!is_locked(up.runtime_dir)) { break; }
        std::this_thread::sleep_for(milliseconds(5));
    }
    stop_dnsmasq(up.runtime_dir);
    const std::optional<std::string> log = read_file(dnsmasq_launch(up).vmm_log);
    const std::string said = log ? log->substr(0, log->find_last_not_of('\n') + 1) : std::string{};
    throw Error(
        fmt::format("the network {}: dnsmasq didn't start: {}", up.network.name, said.substr(said.rfind('\n') + 1)));
}

} // namespace

std::string network_runtime_dir(const std::string& machine_runtime_dir, const std::string& network) {
    // A machine's name begins with a letter.
    return fmt::format("{}/.{}", machine_runtime_dir.substr(0, machine_runtime_dir.rfind('/')), network);
}

std::string link_alias(const std::string& runtime_dir) {
    return "microvmc " + runtime_dir;
}

std::vector<std::string> gateway_addresses(const NetworkPlan& network) {
    std::vector<std::string> addresses;
    for (const std::string& subnet : network.subnets) {
        addresses.push_back(subnet_text(host_of(*parse_subnet(subnet), 1)));
    }
    return addresses;
}

void limit_rate(const std::string& interface, std::uint64_t rate_mib) {
    run_nft(rate_text(interface, rate_mib));
}

void unlimit_rate(const std::string& interface) {
    run_program(no_rate("nft", interface));
}

bool bring_up(const NetworkUp& up, const std::string& supervisor) {
    const NetworkPlan& network = up.network;
    const std::string firewall = firewall_text(up); // refuses before anything is changed
    bool made = false;
    if (network.managed) {
        made = make_bridge(network.bridge, link_alias(up.runtime_dir), network.mtu);
    } else if (const auto link = find_link(network.bridge); !link || link->kind != "bridge") {
        throw Error(fmt::format("the network {}: there is no bridge {}", network.name, network.bridge),
                    "it isn't managed by microvmc, so somebody else makes it");
    }
    try {
        if (network.managed) {
            add_addresses(network.bridge, gateway_addresses(network));
            forward_packets(network, has_forwards(up));
            run_nft(firewall);
        }
        if (network.managed && wants_dnsmasq(up)) { start_dnsmasq(up, supervisor); }
    } catch (const Error&) {
        if (made) { take_down(network.bridge, up.runtime_dir); }
        throw;
    }
    return made;
}

bool take_down(const std::string& bridge, const std::string& runtime_dir) {
    const std::optional<Link> link = find_link(bridge);
    if (link && (link->alias != link_alias(runtime_dir) || count_ports(bridge) != 0)) { return false; }
    stop_dnsmasq(runtime_dir);
    remove_tree(runtime_dir);
    if (!link) { return false; }
    run_nft(no_firewall_text(bridge));
    return remove_link(bridge, link->alias);
}

} // namespace microvmc
