#include "compiler/forward.h"

#include "compiler/config.h"
#include "compiler/schema.h"
#include "compiler/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <fmt/format.h>

namespace microvmc {

namespace {

constexpr std::string_view form = "a forward is written \"[ADDR:]HOST:GUEST[/udp]\"";

std::optional<std::int64_t> port(std::string_view text) {
    const auto number = parse_number(text);
    return number && *number >= 1 && *number <= 65535 ? number : std::nullopt;
}

/// Adds to a big-endian number; false: it ran over.
bool add(std::span<std::uint8_t> bytes, std::uint64_t by) {
    for (std::size_t i = bytes.size(); i-- > 0 && by != 0;) {
        by += bytes[i];
        bytes[i] = static_cast<std::uint8_t>(by & 0xFF);
        by >>= 8;
    }
    return by == 0;
}

} // namespace

std::string parse_forward(std::string_view text, Span span, void* forward_config) {
    ForwardConfig& forward = *static_cast<ForwardConfig*>(forward_config);
    std::string_view rest = text;
    if (const auto slash = rest.rfind('/'); slash != std::string_view::npos) {
        const std::string_view proto = rest.substr(slash + 1);
        if (proto != "tcp" && proto != "udp") {
            return fmt::format("`{}` is no protocol of a forward; tcp and udp are", printable(proto));
        }
        forward.proto = {std::string(proto), span};
        rest = rest.substr(0, slash);
    }
    const auto guest_colon = rest.rfind(':');
    if (guest_colon == std::string_view::npos) { return std::string(form); }
    const std::string_view guest = rest.substr(guest_colon + 1);
    rest = rest.substr(0, guest_colon);
    const auto host_colon = rest.rfind(':');
    const std::string_view host = host_colon == std::string_view::npos ? rest : rest.substr(host_colon + 1);
    const auto host_port = port(host);
    const auto guest_port = port(guest);
    if (!host_port || !guest_port) {
        const std::string_view wrong = host_port ? guest : host;
        if (wrong.empty()) { return std::string(form); }
        return fmt::format("`{}` is no port; a port is 1 to 65535", printable(wrong));
    }
    forward.host = prototype<EndpointConfig>();
    forward.guest = prototype<EndpointConfig>();
    forward.host->port = {*host_port, span};
    forward.guest->port = {*guest_port, span};
    if (host_colon != std::string_view::npos) {
        std::string_view address = rest.substr(0, host_colon);
        if (address.starts_with('[') && address.ends_with(']')) {
            address = address.substr(1, address.size() - 2);
            if (!is_ipv6(address)) { return fmt::format("`{}` is no IPv6 address", printable(address)); }
        } else if (address.find(':') != std::string_view::npos) {
            return is_ipv6(address)
                       ? fmt::format("an IPv6 address stands in brackets: \"[{}]:{}:{}\"", address, host, guest)
                       : std::string(form);
        }
        if (!is_address(address)) { return fmt::format("`{}` is no address", printable(address)); }
        forward.host->address = {std::string(address), span};
    }
    return {};
}

std::string forward_name(std::string_view text) {
    std::string name(text.substr(text.rfind(':') + 1));
    if (name.ends_with("/tcp")) { name.resize(name.size() - 4); }
    std::ranges::replace(name, '/', '-');
    return name;
}

bool is_ipv6(std::string_view text) {
    std::array<std::uint8_t, 16> bytes{};
    return text.size() < INET6_ADDRSTRLEN && inet_pton(AF_INET6, std::string(text).c_str(), bytes.data()) == 1;
}

bool is_address(std::string_view text) {
    std::array<std::uint8_t, 4> bytes{};
    return is_ipv6(text) ||
           (text.size() < INET_ADDRSTRLEN && inet_pton(AF_INET, std::string(text).c_str(), bytes.data()) == 1);
}

std::string next_address(std::string_view text, std::uint64_t by) {
    const auto slash = text.find('/');
    const std::string address(text.substr(0, slash));
    const std::string_view suffix = slash == std::string_view::npos ? std::string_view{} : text.substr(slash);
    std::array<std::uint8_t, 16> bytes{};
    const bool v6 = address.find(':') != std::string::npos;
    const int family = v6 ? AF_INET6 : AF_INET;
    std::array<char, INET6_ADDRSTRLEN> out{};
    if (inet_pton(family, address.c_str(), bytes.data()) != 1 || !add(std::span(bytes).first(v6 ? 16 : 4), by) ||
        inet_ntop(family, bytes.data(), out.data(), out.size()) == nullptr) {
        return {};
    }
    return std::string(out.data()) + std::string(suffix);
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

std::string next_mac(std::string_view mac, std::uint64_t by) {
    std::array<std::uint8_t, 6> bytes{};
    constexpr std::string_view digits = "0123456789abcdef";
    const std::string normal = normal_mac(mac);
    if (normal.empty()) { return {}; }
    for (std::size_t i = 0; i < 6; ++i) {
        bytes[i] = static_cast<std::uint8_t>(digits.find(normal[i * 3]) << 4 | digits.find(normal[i * 3 + 1]));
    }
    if (!add(bytes, by)) { return {}; }
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                       bytes[5]);
}

} // namespace microvmc
