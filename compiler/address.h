#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace microvmc {

/// An IP network, or an address within one.
struct Subnet {
    bool v6 = false;
    std::array<std::uint8_t, 16> bytes{}; ///< IPv4: the first four
    unsigned prefix = 0;

    [[nodiscard]] unsigned bits() const { return v6 ? 128 : 32; }
};

/// "10.9.0.0/24", "fd09::1"; without a prefix length it is the address' whole length. None: it is no such thing.
std::optional<Subnet> parse_subnet(std::string_view text);

/// Whether `address` lies in `network`.
bool contains(const Subnet& network, const Subnet& address);
/// Whether an address is in both.
bool overlap(const Subnet& a, const Subnet& b);

/// The network that an address with its prefix length is in, all bits of the host zero.
Subnet network_of(const Subnet& address);
/// Whether all bits of the host are zero, or all one: the network's own address and IPv4's broadcast.
bool is_network_address(const Subnet& address);
bool is_broadcast(const Subnet& address);

/// The `number`th address of a network, with its prefix length.
Subnet host_of(const Subnet& network, std::uint32_t number);

/// "10.9.0.5"; "10.9.0.5/24"
std::string address_text(const Subnet& address);
std::string subnet_text(const Subnet& subnet);

/// Dotted IPv4 or IPv6, without prefix length.
bool is_address(std::string_view text);
bool is_ipv6(std::string_view text);
/// The address `by` further on, as text; empty when there is none. `text` is_address, with or without prefix length.
std::string next_address(std::string_view text, std::uint64_t by);

/// "02:5e:1c:90:a3:77" or with dashes -> lower case with colons; empty when it is no MAC.
std::string normal_mac(std::string_view text);
/// Lower case, with colons.
std::string mac_text(const std::array<std::uint8_t, 6>& bytes);
/// The MAC `by` further on.
std::string next_mac(std::string_view mac, std::uint64_t by);

} // namespace microvmc
