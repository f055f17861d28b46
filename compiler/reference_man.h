#pragma once

#include "compiler/traits.h"

#include <span>
#include <string>
#include <string_view>

namespace microvmc {

/// microvm.toml(5), from the same table as docs/LANGUAGE.md.
std::string reference_man(std::span<const Traits> traits, std::string_view version);

} // namespace microvmc
