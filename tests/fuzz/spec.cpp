// Any text either comes to cases or gives diagnostics that can be rendered.

#include "runtime/backend.h"
#include "testkit/load.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace microvmc;
    static const std::vector<Traits> traits = all_traits();
    Diagnostics diagnostics;
    const testkit::Specs specs = testkit::load(
        {}, {{.path = "spec.toml", .directory = "/", .text = std::string(data, data + size)}}, traits, {}, diagnostics);
    if (diagnostics.has_errors() && !specs.cases.empty()) { std::abort(); }
    render_text(diagnostics, specs.sources, true);
    return 0;
}
