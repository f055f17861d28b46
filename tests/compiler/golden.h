#pragma once

#include "compiler/compile.h"
#include "compiler/diff.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// A microvm.toml run through all the pure phases on made-up facts (tests/golden/facts.json), with the real backends'
// traits.

namespace microvmc::golden {

/// What one case says.
struct Case {
    std::string name;
    std::string text;
    std::string over;         ///< a second file, merged over the first
    std::string facts;        ///< a merge patch (RFC 7396) of facts.json
    std::string before;       ///< a microvm.toml whose machines all run
    std::string observed;     ///< a merge patch by machine of what is observed: {"web": {"running": false, "volumes":
                              ///< {"data": 64}}}
    std::string before_facts; ///< a merge patch for when `before` was started; its kernel is pinned since
    bool upgrade = false;
    bool whole = false; ///< with a hypervisor that can do all that the language has
};

/// How far it came.
struct Outcome {
    Sources sources;
    Diagnostics diagnostics;
    std::optional<Plan> plan;
    std::optional<Changes> changes;
    Observed observed;
    HostFacts facts;

    /// The diagnostics as a person reads them.
    [[nodiscard]] std::string errors() const;
};

Outcome run(const Case& given);

/// What would be done, one line an action, and the command lines below; only of what QEMU does today.
std::string actions_text(const Outcome& outcome);
/// QEMU's traits, but with every capability.
std::vector<Traits> whole_traits();

HostFacts facts(const std::string& patch = {});
std::string read(const std::string& path);
/// Compares with a file, or writes it when MICROVMC_UPDATE_GOLDEN is set.
void expect_file(const std::string& path, const std::string& actual);
/// Whether expected texts are to be rewritten.
bool updating();
std::string golden_dir();

} // namespace microvmc::golden
