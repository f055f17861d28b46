#pragma once

#include "compiler/config.h"
#include "compiler/diagnostic.h"
#include "compiler/merge.h"
#include "compiler/schema.h"
#include "compiler/traits.h"

#include <span>

namespace microvmc {

inline constexpr std::size_t max_vms = 20'000;

/// What the text says, typed. Everything that is wrong is reported at once; what could be read is given back all the
/// same. Pure; `traits` say which hypervisors' names and tables there are.
Config decode(const Merged& merged, const Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics);

/// The same of another language with the same machinery: reads `table` by `schema` into `object`, which is of the
/// struct that `schema` describes and has its defaults.
void decode(const Node& table, const TableSchema& schema, void* object, const Sources& sources,
            std::span<const Traits> traits, Diagnostics& diagnostics);

} // namespace microvmc
