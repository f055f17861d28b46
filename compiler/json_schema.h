#pragma once

#include "compiler/traits.h"

#include <span>
#include <string>

namespace microvmc {

/// The JSON Schema (draft-07, which editors know best) of a microvm.toml, from the schema table and the hypervisors'
/// own keys: for completion and checking in editors. It refuses nothing that the decoder takes; what only a parser
/// can tell (an address, a size that is too large) it leaves to the decoder. Indented, with a newline at its end.
std::string json_schema(std::span<const Traits> traits);

} // namespace microvmc
