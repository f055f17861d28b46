#pragma once

#include "compiler/source.h"

#include <optional>
#include <string>
#include <string_view>

namespace microvmc {

struct ScanProblem {
    const char* code = nullptr;
    Position at;
    std::string message;
    std::string help;
};

/// One pass over a text before the TOML parser sees it: size, UTF-8, depth of nesting, parts of dotted keys. It knows
/// strings and comments and nothing else of TOML. Linear, no recursion, no allocation.
std::optional<ScanProblem> prescan(std::string_view text);

/// Bytes of the UTF-8 sequence at the start of `text`; 0: malformed (overlong, surrogate and truncated forms included).
std::size_t utf8_length(std::string_view text);

} // namespace microvmc
