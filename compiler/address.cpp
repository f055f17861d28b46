#include "compiler/address.h"

#include "compiler/text.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <span>

#include <arpa/inet.h>

namespace microvmc {

namespace {

/// Adds to a big-endian number; false: it ran over.
bool add(std::span<std::uint8_t> bytes, std::uint64_t by) {
    for (std::size_t i = bytes.size(); i-- > 0 && by != 0;) {
        by += bytes[i];
        bytes[i] = static_cast<std::uint8_t>(by & 0xFF);
        by >>= 8;
    }
    return by == 0;
}

/// The bits of byte `index` that belong to the network.
std::uint8_t mask(unsigned prefix, std::size_t index) {
    const auto before = static_cast<unsigned>(index) * 8;
    if (prefix <= before) { return 0; }
    const unsigned own = std::min(prefix - before, 8U);
    return static_cast<std::uint8_t>(0xFF00U >> own);
}

/// Whether each bit of the host is what `bit` says.
bool host_bits_are(const Subnet& address, bool bit) {
    for (std::size_t i = 0; i < address.bits() / 8; ++i) {
        const auto host = static_cast<std::uint8_t>(~mask(address.prefix, i));
        if ((address.bytes[i] & host) != (bit ? host : 0)) { return false; }
    }
    return true;
}

} // namespace

std::optional<Subnet> parse_subnet(std::string_view text) {
    Subnet subnet;
    const auto slash = text.find('/');
    const std::string address(text.substr(0, slash));
    if (address.size() >= INET6_ADDRSTRLEN) { return std::nullopt; }
    subnet.v6 = address.find(':') != std::string::npos;
    if (inet_pton(subnet.v6 ? AF_INET6 : AF_INET, address.c_str(), subnet.bytes.data()) != 1) { return std::nullopt; }
    subnet.prefix = subnet.bits();
    if (slash != std::string_view::npos) {
        const auto prefix = parse_number(text.substr(slash + 1));
        if (!prefix || *prefix > subnet.bits()) { return std::nullopt; }
        subnet.prefix = static_cast<unsigned>(*prefix);
    }
    return subnet;
}

bool contains(const Subnet& network, const Subnet& address) {
    if (network.v6 != address.v6) { return false; }
    for (std::size_t i = 0; i < network.bits() / 8; ++i) {
        if (((network.bytes[i] ^ address.bytes[i]) & mask(network.prefix, i)) != 0) { return false; }
    }
    return true;
}

bool overlap(const Subnet& a, const Subnet& b) {
    return a.prefix <= b.prefix ? contains(a, b) : contains(b, a);
}

Subnet network_of(const Subnet& address) {
    Subnet network = address;
    for (std::size_t i = 0; i < network.bytes.size(); ++i) { network.bytes[i] &= mask(network.prefix, i); }
    return network;
}

bool is_network_address(const Subnet& address) {
    return address.prefix + 1 < address.bits() && host_bits_are(address, false);
}

bool is_broadcast(const Subnet& address) {
    return !address.v6 && address.prefix + 1 < address.bits() && host_bits_are(address, true);
}

Subnet host_of(const Subnet& network, std::uint32_t number) {
    Subnet host = network_of(network);
    add(std::span(host.bytes).first(host.bits() / 8), number);
    return host;
}

std::string address_text(const Subnet& address) {
    const auto& bytes = address.bytes;
    if (!address.v6) { return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]); }
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
    return text.data();
}

std::string subnet_text(const Subnet& subnet) {
    return fmt::format("{}/{}", address_text(subnet), subnet.prefix);
}

bool is_ipv6(std::string_view text) {
    return is_address(text) && text.find(':') != std::string_view::npos;
}

bool is_address(std::string_view text) {
    return text.find('/') == std::string_view::npos && parse_subnet(text);
}

std::string next_address(std::string_view text, std::uint64_t by) {
    auto address = parse_subnet(text);
    if (!address || !add(std::span(address->bytes).first(address->bits() / 8), by)) { return {}; }
    const auto slash = text.find('/');
    return address_text(*address) + std::string(slash == std::string_view::npos ? "" : text.substr(slash));
}

std::string normal_mac(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    if (text.size() != 17) { return {}; }
    std::string mac;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i] >= 'A' && text[i] <= 'F' ? static_cast<char>(text[i] + 32) : text[i];
        if (i % 3 == 2) {
            if (c != ':' && c != '-') { return {}; }
            mac += ':';
        } else if (digits.find(c) == std::string_view::npos) {
            return {};
        } else {
            mac += c;
        }
    }
    return mac;
}

std::string mac_text(const std::array<std::uint8_t, 6>& bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string mac;
    for (const std::uint8_t byte : bytes) {
        if (!mac.empty()) { mac += ':'; }
        mac += digits[byte >> 4];
        mac += digits[byte & 15];
    }
    return mac;
}

std::string next_mac(std::string_view mac, std::uint64_t by) {
    std::array<std::uint8_t, 6> bytes{};
    constexpr std::string_view digits = "0123456789abcdef";
    const std::string normal = normal_mac(mac);
    if (normal.empty()) { return {}; }
    for (std::size_t i = 0; i < 6; ++i) {
        bytes[i] = static_cast<std::uint8_t>(digits.find(normal[i * 3]) << 4 | digits.find(normal[i * 3 + 1]));
    }
    if (!add(bytes, by)) { return {}; }
    return mac_text(bytes);
}

} // namespace microvmc
