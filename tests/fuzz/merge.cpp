// Layers merge in whatever order they are put together, and whatever they are.

#include "compiler/merge.h"
#include "compiler/compile.h"
#include "tests/compiler/merged_text.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace microvmc;

constexpr std::string_view separator = "\n---\n"; // no TOML
constexpr std::size_t layers = 3;

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (parts.size() + 1 < layers && text.find(separator) != std::string_view::npos) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(end + separator.size());
    }
    parts.emplace_back(text);
    parts.resize(layers);
    return parts;
}

/// Merging is only asked to be associative for layers that each say what the language lets them say.
bool well_formed(const std::string& text) {
    Sources sources;
    sources.files.push_back({"microvm.toml", "/", text});
    Diagnostics diagnostics;
    return load(sources, {}, diagnostics).has_value() && !diagnostics.has_errors();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::vector<std::string> texts = split({reinterpret_cast<const char*>(data), size});
    Sources sources;
    Diagnostics diagnostics;
    std::vector<Document> documents;
    for (const std::string& text : texts) {
        sources.files.push_back({"microvm.toml", "/", text});
        auto document = parse(sources, static_cast<std::uint32_t>(sources.files.size() - 1), diagnostics);
        if (!document) { return 0; }
        documents.push_back(std::move(*document));
    }
    const Node left = over(documents[2].root, over(documents[1].root, documents[0].root));
    const Node right = over(over(documents[2].root, documents[1].root), documents[0].root);
    if (shown(left) != shown(right) && well_formed(texts[0]) && well_formed(texts[1]) && well_formed(texts[2])) {
        std::fprintf(stderr, "c(ba): %s\n(cb)a: %s\n", shown(left).c_str(), shown(right).c_str());
        std::abort();
    }
    merge(std::move(documents), diagnostics);
    render_text(diagnostics, sources, true);
    return 0;
}
