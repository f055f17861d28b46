#include "testkit/select.h"

#include "testkit/exclusion.h"

#include <algorithm>
#include <utility>

namespace microvmc::testkit {

bool fits(std::string_view filter, std::string_view name) {
    if (filter.find_first_of("*?") == std::string_view::npos) { return name.find(filter) != std::string_view::npos; }
    // The last * takes one character more each time the rest doesn't fit.
    std::size_t f = 0;
    std::size_t n = 0;
    std::size_t star = std::string_view::npos;
    std::size_t taken = 0;
    while (n < name.size()) {
        if (f < filter.size() && (filter[f] == '?' || filter[f] == name[n]) && filter[f] != '*') {
            ++f;
            ++n;
        } else if (f < filter.size() && filter[f] == '*') {
            star = f++;
            taken = n;
        } else if (star != std::string_view::npos) {
            f = star + 1;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (f < filter.size() && filter[f] == '*') { ++f; }
    return f == filter.size();
}

std::vector<Combination> select(const Specs& specs, const std::vector<Target>& targets, const Selection& selection) {
    std::vector<Combination> all;
    for (std::size_t target = 0; target < targets.size(); ++target) {
        const std::string at = "@" + targets[target].name();
        for (std::size_t which = 0; which < specs.cases.size(); ++which) {
            const Case& each = specs.cases[which];
            if (is_excluded(each, targets[target])) { continue; }
            const std::string name = each.id() + at;
            const bool wanted =
                selection.filters.empty() ||
                std::ranges::any_of(selection.filters, [&](const std::string& filter) { return fits(filter, name); });
            if (wanted) { all.push_back({which, target}); }
        }
    }
    const auto begin = all.size() * (selection.shard - 1) / selection.shards;
    const auto end = all.size() * selection.shard / selection.shards;
    std::vector<Combination> shard(all.begin() + static_cast<std::ptrdiff_t>(begin),
                                   all.begin() + static_cast<std::ptrdiff_t>(end));
    std::ranges::sort(shard, {}, [](const Combination& each) { return std::pair(each.which_case, each.target); });
    return shard;
}

} // namespace microvmc::testkit
