#pragma once

#include "compiler/schema.h"
#include "compiler/traits.h"

#include <span>
#include <string>
#include <string_view>

namespace microvmc {

/// The JSON Schema (draft-07, which editors know best) of a microvm.toml, from the schema table and the hypervisors'
/// own keys: for completion and checking in editors. It refuses nothing that the decoder takes; what only a parser
/// can tell (an address, a size that is too large) it leaves to the decoder. Indented, with a newline at its end.
std::string json_schema(std::span<const Traits> traits);

/// What a JSON Schema says of itself.
struct JsonSchemaTitle {
    std::string_view title;
    std::string_view description;
};
/// That of another language with the same machinery, whose file is a `root`. `references`: a string with `${` in it may
/// stand for any value.
std::string json_schema(const TableSchema& root, const JsonSchemaTitle& title, bool references,
                        std::span<const Traits> traits);

} // namespace microvmc
