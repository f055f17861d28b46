#pragma once

#include "compiler/traits.h"

#include <span>
#include <string>

namespace microvmc {

/// docs/LANGUAGE.md: the language's general rules, every table with its keys, the capabilities, the diagnostics' codes.
std::string reference_markdown(std::span<const Traits> traits);

/// "native", "bridged" or "-".
std::string_view support_word(Support support);

} // namespace microvmc
