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

} // namespace microvmc
