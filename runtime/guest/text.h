#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc::guest {

/// Nothing: it went well. Else what went wrong, where and why, as people read it. (The init has no exceptions.)
using Failure = std::optional<std::string>;

/// The parts, one after the other.
std::string concat(std::initializer_list<std::string_view> parts);

/// "PARTS: No such file or directory", with the message of `error_number`.
std::string with_errno(std::initializer_list<std::string_view> parts, int error_number);

/// The pieces of `text` between separators, empty ones left out.
std::vector<std::string_view> split(std::string_view text, char separator);

/// Without leading and trailing spaces and newlines.
std::string_view trim(std::string_view text);

} // namespace microvmc::guest
