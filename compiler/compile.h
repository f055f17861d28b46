#pragma once

#include "compiler/config.h"
#include "compiler/diagnostic.h"
#include "compiler/facts.h"
#include "compiler/observed.h"
#include "compiler/plan.h"
#include "compiler/resolve.h"
#include "compiler/source.h"
#include "compiler/traits.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace microvmc {

struct Merged;

/// What one pattern of `include` names: the files, read, in the order of their names; or why not.
struct Included {
    std::vector<SourceFile> files;
    std::string problem; ///< empty: none
};
/// Reads what an absolute pattern, as glob(7) has them, stands for; the compiler itself does no I/O. One without
/// wildcards is a path (a backslash before a character takes it literally), and a problem when that doesn't exist;
/// wildcards that match nothing are none. Files come with absolute paths.
using IncludeReader = std::function<Included(const std::string& pattern)>;

/// Text to Config: parses all of `sources` (later ones merged over earlier) and what they include (merged before them,
/// added to `sources`), merges, decodes. None: `diagnostics` has errors, in source order. `merged`: is given what was
/// decoded.
std::optional<Config> load(Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics,
                           const IncludeReader& read = {}, Merged* merged = nullptr);

} // namespace microvmc
