#include "testkit/tally.h"

#include <algorithm>

namespace microvmc::testkit {

void Count::add(const Count& other) {
    planned += other.planned;
    running += other.running;
    passed += other.passed;
    failed += other.failed;
    skipped += other.skipped;
    duration_ms += other.duration_ms;
}

Count& Tally::count_of(const std::string& spec, const std::string& target) {
    auto row = std::ranges::find(specs, spec, &Spec::name);
    if (row == specs.end()) { row = specs.insert(specs.end(), {spec, std::vector<Count>(targets.size())}); }
    auto column = std::ranges::find(targets, target);
    if (column == targets.end()) {
        targets.push_back(target);
        for (Spec& each : specs) { each.counts.resize(targets.size()); }
        column = targets.end() - 1;
        row = std::ranges::find(specs, spec, &Spec::name);
    }
    return row->counts[static_cast<std::size_t>(column - targets.begin())];
}

void Tally::begin(const std::vector<Target>& all, const std::vector<Planned>& cases, Clock::time_point now) {
    begun = now;
    for (const Target& target : all) { targets.push_back(target.name()); }
    for (const Planned& each : cases) { ++count_of(each.spec, each.target).planned; }
}

void Tally::started(const Planned& which, Clock::time_point now) {
    ++count_of(which.spec, which.target).running;
    running.push_back({which, now});
}

void Tally::finished(const CaseResult& result) {
    Count& count = count_of(result.spec, result.target);
    // One that is skipped was never started.
    const auto found = std::ranges::find_if(running, [&](const Running& each) {
        return each.which.spec == result.spec && each.which.name == result.name && each.which.target == result.target;
    });
    if (found != running.end()) {
        running.erase(found);
        --count.running;
    }
    count.duration_ms += result.duration_ms;
    switch (result.outcome) {
    case Outcome::passed: ++count.passed; break;
    case Outcome::wrong:
    case Outcome::panic:
    case Outcome::crash:
    case Outcome::hang:
    case Outcome::error: ++count.failed; break;
    case Outcome::skipped: ++count.skipped; break;
    }
}

Count Tally::sum() const {
    Count sum;
    for (const Spec& spec : specs) {
        for (const Count& count : spec.counts) { sum.add(count); }
    }
    return sum;
}

Tally tally_of(const RunReport& report) {
    Tally tally;
    tally.begin(report.targets, {}, {});
    for (const CaseResult& result : report.results) { tally.finished(result); }
    return tally;
}

} // namespace microvmc::testkit
