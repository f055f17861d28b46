#pragma once

#include "compiler/source.h"

#include <string>
#include <string_view>

namespace microvmc {

/// "[ADDR:]HOST:GUEST[/udp]" into a ForwardConfig; an IPv6 address stands in brackets. Gives back what is wrong, empty
/// when nothing is.
std::string parse_forward(std::string_view text, Span span, void* forward_config);

/// What a forward without a name is called: "80", "53-udp".
std::string forward_name(std::string_view text);

/// Dotted IPv4 or IPv6, without prefix length.
bool is_address(std::string_view text);
bool is_ipv6(std::string_view text);
/// The address `by` further on, as text; empty when there is none. `text` is_address, with or without prefix length.
std::string next_address(std::string_view text, std::uint64_t by);

/// "02:5e:1c:90:a3:77" or with dashes -> lower case with colons; empty when it is no MAC.
std::string normal_mac(std::string_view text);
/// The MAC `by` further on.
std::string next_mac(std::string_view mac, std::uint64_t by);

} // namespace microvmc
