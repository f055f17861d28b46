#pragma once

#include "runtime/guest/text.h"

#include <optional>
#include <string>
#include <string_view>

namespace microvmc::guest {

/// The bytes of "00ff"; nothing when that is no even number of hexadecimal digits.
std::optional<std::string> parse_hex(std::string_view digits);

/// After the machine stood still: sets the clock (nanoseconds since 1970, decimal) and has the kernel's random numbers
/// depend on `seed` (hexadecimal) from now on, not only at the next of its own reseedings. Does both as far as it can.
Failure renew(std::string_view time, std::string_view seed);

} // namespace microvmc::guest
