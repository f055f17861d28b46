#include "tests/testkit_boot/cases.h"

#include "compiler/compile.h"
#include "runtime/backend.h"
#include "runtime/commands/pipeline.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc::testkit {

namespace {

class Silent : public Progress {
public:
    void begin(const std::vector<Target>&, const std::vector<Planned>&) override {}
    void started(const Planned&) override {}
    void finished(const CaseResult&) override {}
    void tick() override {}
    void end(const RunReport&) override {}
};

} // namespace

CasesTest::CasesTest() {
    request_.hypervisors = {"qemu:tcg"};
}

Case& CasesTest::add(const std::string& name, const std::string& toml) {
    Sources sources;
    sources.files.push_back({name + ".toml", "/", toml, false});
    Diagnostics diagnostics;
    const auto config = load(sources, all_traits(), diagnostics);
    if (!config) { ADD_FAILURE() << render_text(diagnostics, sources, false); }
    specs_.sources.files.push_back(sources.files.front());
    Case& made = specs_.cases.emplace_back();
    made.spec = name;
    if (config) { made.config = *config; }
    made.timeout_ms = 300'000;
    return made;
}

Located<std::string> text(std::string value) {
    return {.value = std::move(value), .span = {}};
}

Step CasesTest::guest(const std::string& command) {
    Step step;
    step.what = GuestStep{text(command)};
    step.on = "a";
    step.timeout_ms = 60'000;
    return step;
}

Step CasesTest::guest(const std::string& command, const std::string& equals) {
    Step step = guest(command);
    step.expect.equals = text(equals);
    return step;
}

Step CasesTest::vm(VmStep::Verb verb) {
    Step step;
    step.what = VmStep{verb, {}};
    step.on = "a";
    step.timeout_ms = 200'000;
    return step;
}

RunReport CasesTest::run(RunOptions options) {
    const std::vector<Target> targets = find_targets(request_, host_facts({}, {}));
    std::vector<Combination> combinations;
    for (std::size_t i = 0; i < specs_.cases.size(); ++i) {
        for (std::size_t t = 0; t < targets.size(); ++t) { combinations.push_back({i, t}); }
    }
    Silent progress;
    return testkit::run(specs_, targets, combinations, options, progress);
}

const CaseResult& CasesTest::result_of(const RunReport& report, const std::string& name) {
    const auto found = std::ranges::find(report.results, name, &CaseResult::spec);
    static const CaseResult none;
    if (found == report.results.end()) {
        ADD_FAILURE() << "no result of " << name;
        return none;
    }
    return *found;
}

std::ostream& operator<<(std::ostream& out, const CaseResult& result) {
    return out << nlohmann::json(result).dump(2);
}

} // namespace microvmc::testkit
