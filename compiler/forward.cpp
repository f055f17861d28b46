#include "compiler/forward.h"

#include "compiler/address.h"
#include "compiler/config.h"
#include "compiler/schema.h"
#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

constexpr std::string_view form = "a forward is written \"[ADDR:]HOST:GUEST[/udp]\"";

std::optional<std::int64_t> port(std::string_view text) {
    const auto number = parse_number(text);
    return number && *number >= 1 && *number <= 65535 ? number : std::nullopt;
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

} // namespace microvmc
