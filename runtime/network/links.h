#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The host's network interfaces, by rtnetlink (libnl). What is ours carries an alias (IFLA_IFALIAS) that says of whom,
// so that nothing of anybody else's is ever changed or removed. All throw Error.

namespace microvmc {

struct Link {
    std::string name;
    std::string alias;
    std::string kind;   ///< "bridge", "tun", ...; empty: a device
    std::string bridge; ///< that it is a port of; empty: none
};

/// Nothing when there is none.
std::optional<Link> find_link(const std::string& name);
/// All whose alias begins so.
std::vector<Link> links_of(const std::string& alias_prefix);

/// Makes a bridge and brings it up; false when one with this alias was there. An interface of that name with another
/// alias is an Error. `mtu` 0: the default.
bool make_bridge(const std::string& name, const std::string& alias, std::uint32_t mtu);
/// Makes a macvtap on the interface `link`; mode: bridge, private, vepa, passthru. Nobody gives it addresses of the
/// host's: what is sent to it is its guest's. An interface of that name is an Error.
void make_macvtap(const std::string& name, const std::string& link, const std::string& mode, const std::string& mac);
/// Gives an interface these addresses ("10.9.0.1/24") besides those that it has.
void add_addresses(const std::string& name, const std::vector<std::string>& addresses);
/// Marks an interface as ours, makes it a port of the bridge (empty: of none) and brings it up.
void adopt_port(const std::string& name, const std::string& alias, const std::string& bridge, std::uint32_t mtu);
/// How many ports a bridge has.
std::size_t count_ports(const std::string& bridge);
/// Removes an interface that has this alias; false when there is none. Another alias: Error.
bool remove_link(const std::string& name, const std::string& alias);

} // namespace microvmc
