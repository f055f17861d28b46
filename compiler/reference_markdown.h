#pragma once

#include "compiler/reference_text.h"
#include "compiler/traits.h"

#include <initializer_list>
#include <span>
#include <string>

namespace microvmc {

/// docs/LANGUAGE.md: the language's general rules, every table with its keys, the capabilities, the diagnostics' codes.
std::string reference_markdown(std::span<const Traits> traits);

// Its parts, for other documents of the same kind.
/// A section of a table's keys.
std::string markdown_table(const ReferenceTable& table, std::span<const Traits> traits);
/// A row of a table; what is between backticks in a cell stands as it is.
std::string markdown_row(std::initializer_list<std::string> cells);

/// "native", "bridged" or "-".
std::string_view support_word(Support support);

} // namespace microvmc
