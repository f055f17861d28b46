// Any text either becomes a Config or gives diagnostics that can be rendered.

#include "compiler/compile.h"
#include "runtime/backend.h"

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace microvmc;
    static const std::vector<Traits> traits = all_traits();
    Sources sources;
    sources.files.push_back({"microvm.toml", "/", std::string(data, data + size)});
    Diagnostics diagnostics;
    const bool loaded = load(sources, traits, diagnostics).has_value();
    if (loaded == diagnostics.has_errors()) { std::abort(); }
    render_text(diagnostics, sources, true);
    return 0;
}
