#include "compiler/compile.h"

#include "compiler/decode.h"
#include "compiler/document.h"
#include "compiler/include.h"
#include "compiler/merge.h"

namespace microvmc {

std::optional<Config> load(Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics,
                           const IncludeReader& read, Merged* kept) {
    std::vector<Document> documents = parse_all(sources, read, diagnostics);
    std::optional<Config> config;
    if (!diagnostics.has_errors()) {
        Merged merged = merge(std::move(documents), diagnostics);
        config = decode(merged, sources, traits, diagnostics);
        if (kept != nullptr) { *kept = std::move(merged); }
    }
    diagnostics.sort();
    if (diagnostics.has_errors()) { return std::nullopt; }
    return config;
}

} // namespace microvmc
