#include "tests/testkit_boot/cases.h"

#include "compiler/compile.h"
#include "runtime/backend.h"
#include "runtime/commands/pipeline.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <unistd.h>

namespace microvmc::testkit {

namespace fs = std::filesystem;

namespace {

/// Counts what it is told.
class Counting : public Progress {
public:
    void begin(const std::vector<Target>&, const std::vector<Planned>& cases) override { planned = cases.size(); }
    void started(const Planned& which) override { begun.insert(which.spec); }
    void finished(const CaseResult& result) override {
        ++done;
        const bool was_begun = begun.contains(result.spec);
        EXPECT_TRUE(was_begun || result.outcome == Outcome::skipped || result.outcome == Outcome::error);
    }
    void tick() override {}
    void end(const RunReport& report) override { ended = report.results.size(); }

    std::size_t planned = 0;
    std::size_t done = 0;
    std::size_t ended = 0;
    std::set<std::string> begun;
};

} // namespace

// Runs at the same time on this host are none of ours: these have a place of their own, whose path is short.
CasesTest::CasesTest() {
    std::string pattern = "/tmp/mvXXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) { throw std::runtime_error("mkdtemp failed"); }
    place_ = pattern;
    ::setenv("TMPDIR", place_.c_str(), 1);
}

CasesTest::~CasesTest() {
    EXPECT_THAT(runs_left(), ::testing::IsEmpty());
    EXPECT_THAT(processes_of_runs(), ::testing::IsEmpty());
    ::unsetenv("TMPDIR");
    fs::remove_all(place_);
}

std::vector<std::string> CasesTest::runs_left() const {
    std::vector<std::string> left;
    for (const auto& entry : fs::directory_iterator(place_)) {
        if (entry.path().filename().string().starts_with("mvrun-")) { left.push_back(entry.path().string()); }
    }
    return left;
}

std::vector<std::string> CasesTest::processes_of_runs() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "cmdline", std::ios::binary);
        const std::string line{std::istreambuf_iterator<char>(file), {}};
        if (line.find(place_ + "/mvrun-") != std::string::npos) { found.push_back(line); }
    }
    return found;
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

RunReport CasesTest::run(const RunOptions& options) {
    const TargetRequest emulated{.hypervisors = {"qemu:tcg"}, .all = false, .kernels = {}};
    const std::vector<Target> targets = targets_.empty() ? find_targets(emulated, host_facts()) : targets_;
    std::vector<Combination> combinations;
    for (std::size_t i = 0; i < specs_.cases.size(); ++i) {
        for (std::size_t t = 0; t < targets.size(); ++t) { combinations.push_back({i, t}); }
    }
    Counting progress;
    RunReport report = testkit::run(specs_, targets, combinations, options, progress);
    EXPECT_EQ(progress.planned, report.results.size());
    EXPECT_EQ(progress.done, report.results.size());
    EXPECT_EQ(progress.ended, report.results.size());
    return report;
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
