#pragma once

#include "compiler/compile.h"
#include "compiler/document.h"

#include <vector>

namespace microvmc {

/// All documents, the farthest first: each file after what it includes. A file that two include is taken once, where
/// it is first needed. The whole may have max_source_bytes.
std::vector<Document> parse_all(Sources& sources, const IncludeReader& read, Diagnostics& diagnostics);

} // namespace microvmc
