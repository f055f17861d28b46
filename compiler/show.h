#pragma once

#include "compiler/merge.h"
#include "compiler/plan.h"
#include "compiler/traits.h"

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <vector>

namespace microvmc {

/// Where a value of a merged result comes from.
struct ShownOrigin {
    Origin at;
    std::string from; ///< "template debian", "defaults"; empty: it is written there

    friend bool operator==(const ShownOrigin&, const ShownOrigin&) = default;
};

/// One value, as it is meant: paths absolute, sizes and durations with units, `count` and ${name} carried out.
struct ShownValue {
    std::vector<std::string> path; ///< "volumes", "data", "size"
    nlohmann::ordered_json value;  ///< a scalar, an array, or (elements without a name, empty tables) an object
    ShownOrigin origin;
    std::vector<ShownOrigin> elements; ///< of an array's elements, when they are not all of one place
};

/// A table of the result: a machine, a network, or (without a kind) what stands at the top.
struct ShownTable {
    std::string kind; ///< "vm", "network"
    std::string name; ///< "web-1"
    ShownOrigin origin;
    std::vector<ShownValue> values;
};

/// The merged result: what stands at the top, the networks, then each machine with all that it inherits. `merged` was
/// decoded without errors. Credentials say where they come from, never more. Pure.
std::vector<ShownTable> show(const Merged& merged, const Sources& sources, std::span<const Traits> traits);

/// As TOML that means the same, the origin of each line behind it. `colour` dims those.
std::string render_toml(const std::vector<ShownTable>& tables, bool colour);
nlohmann::ordered_json render_shown_json(const std::vector<ShownTable>& tables);

} // namespace microvmc
