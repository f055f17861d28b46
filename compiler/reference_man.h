#pragma once

#include "compiler/reference_text.h"
#include "compiler/traits.h"

#include <span>
#include <string>
#include <string_view>

namespace microvmc {

/// microvm.toml(5), from the same table as docs/LANGUAGE.md.
std::string reference_man(std::span<const Traits> traits, std::string_view version);

// Its parts, for other pages of the same kind.
std::string man_sections(std::span<const ReferenceSection> sections);
std::string man_table(const ReferenceTable& table, std::span<const Traits> traits);

} // namespace microvmc
