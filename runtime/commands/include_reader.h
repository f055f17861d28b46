#pragma once

#include "compiler/compile.h"

#include <string>

namespace microvmc {

/// The IncludeReader of the commands: an absolute path, or a pattern as glob(7) has them, whose files come sorted by
/// name. A pattern that matches nothing is fine; a path without wildcards that isn't there is a problem, as is all
/// that read_source refuses.
Included read_included(const std::string& pattern);

} // namespace microvmc
