#pragma once

#include "compiler/config.h"
#include "compiler/diagnostic.h"
#include "compiler/facts.h"
#include "compiler/observed.h"
#include "compiler/plan.h"
#include "compiler/resolve.h"
#include "compiler/source.h"
#include "compiler/traits.h"

#include <optional>
#include <span>

namespace microvmc {

/// Text to Config: parses all of `sources` (later ones merged over earlier), merges, decodes. None: `diagnostics` has
/// errors, in source order.
std::optional<Config> load(const Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics);

} // namespace microvmc
