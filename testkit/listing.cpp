#include "testkit/listing.h"

#include "runtime/terminal.h"
#include "testkit/case_json.h"
#include "testkit/needs.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace microvmc::testkit {

namespace {

/// Why a case would be skipped on a target, as far as that can be told without a plan; empty: it would not.
std::string why_skipped(const Case& which, const Target& target, std::span<const Traits> traits) {
    if (!target.unusable.empty()) { return target.unusable; }
    const auto found = std::ranges::find(traits, target.hypervisor, &Traits::name);
    if (found == traits.end()) { return {}; }
    for (const Need& need : needs(which)) {
        if (std::string why = refusal(*found, need.capability, target.version); !why.empty()) { return why; }
    }
    return {};
}

} // namespace

std::string listing_text(const Specs& specs, const std::vector<Target>& targets,
                         const std::vector<Combination>& combinations, std::span<const Traits> traits, bool colour) {
    std::vector<std::vector<std::string>> rows{{"CASE", "TARGET", "PROVES", "SKIPPED"}};
    for (const Combination& each : combinations) {
        const Case& which = specs.cases[each.which_case];
        const Target& target = targets[each.target];
        rows.push_back({which.id(), target.name(), fmt::format("{}", fmt::join(which.proves, " ")),
                        why_skipped(which, target, traits)});
    }
    return render_table(rows, colour);
}

std::string listing_json(const Specs& specs, const std::vector<Target>& targets,
                         const std::vector<Combination>& combinations, std::span<const Traits> traits) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    const Case* last = nullptr;
    for (const Combination& each : combinations) {
        const Case& which = specs.cases[each.which_case];
        if (last != &which) { all.push_back(case_json(which, specs.sources)); }
        last = &which;
        nlohmann::ordered_json target{{"name", targets[each.target].name()}};
        if (std::string why = why_skipped(which, targets[each.target], traits); !why.empty()) {
            target["skipped"] = std::move(why);
        }
        all.back()["targets"].push_back(std::move(target));
    }
    return nlohmann::ordered_json{{"version", 1}, {"cases", std::move(all)}}.dump(2) + "\n";
}

} // namespace microvmc::testkit
