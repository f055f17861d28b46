#include "compiler/compile.h"

#include "compiler/decode.h"
#include "compiler/document.h"
#include "compiler/merge.h"

namespace microvmc {

std::optional<Config> load(const Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics) {
    std::vector<Document> documents;
    for (std::uint32_t file = 0; file < sources.files.size(); ++file) {
        if (auto document = parse(sources, file, diagnostics)) { documents.push_back(std::move(*document)); }
    }
    std::optional<Config> config;
    if (!diagnostics.has_errors()) {
        const Merged merged = merge(std::move(documents), diagnostics);
        config = decode(merged, sources, traits, diagnostics);
    }
    diagnostics.sort();
    if (diagnostics.has_errors()) { return std::nullopt; }
    return config;
}

} // namespace microvmc
