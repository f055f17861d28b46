#include "testkit/skipped.h"

#include <algorithm>

namespace microvmc::testkit {

namespace {

void add_once(std::vector<std::string>& all, const std::string& one) {
    if (std::ranges::find(all, one) == all.end()) { all.push_back(one); }
}

} // namespace

std::vector<Skipped> skipped_reasons(const RunReport& report) {
    std::vector<Skipped> reasons;
    for (const CaseResult& result : report.results) {
        if (result.outcome != Outcome::skipped) { continue; }
        auto reason = std::ranges::find(reasons, result.message, &Skipped::why);
        if (reason == reasons.end()) { reason = reasons.insert(reasons.end(), {result.message, 0, {}, {}}); }
        ++reason->count;
        add_once(reason->specs, result.spec);
        add_once(reason->targets, result.target);
    }
    return reasons;
}

} // namespace microvmc::testkit
