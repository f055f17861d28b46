#include "testkit/run.h"

#include "runtime/error.h"
#include "testkit/coverage.h"
#include "testkit/groups.h"
#include "testkit/kernel_check.h"
#include "testkit/needs.h"
#include "testkit/outcome.h"
#include "testkit/planning.h"
#include "testkit/scheduler.h"
#include "testkit/workspace.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fmt/format.h>
#include <tuple>

namespace microvmc::testkit {

namespace {

/// Each combination as often as it is to run, in the order of the report.
std::vector<Run> runs_of(std::vector<Combination> combinations, std::uint32_t repeat) {
    std::ranges::stable_sort(combinations, {},
                             [](const Combination& each) { return std::tuple(each.which_case, each.target); });
    std::vector<Run> runs;
    for (const Combination& each : combinations) {
        for (std::uint32_t round = 1; round <= std::max(repeat, 1U); ++round) {
            runs.push_back({.which_case = each.which_case,
                            .target = each.target,
                            .round = round,
                            .attempt = 1,
                            .slot = runs.size()});
        }
    }
    return runs;
}

HostFacts facts_of(const Specs& specs, const std::vector<Target>& targets, const std::vector<Run>& runs,
                   const Directories& where) {
    std::vector<const Config*> configs;
    for (const Run& run : runs) {
        const Case& which = specs.cases[run.which_case];
        if (!which.apart && (configs.empty() || configs.back() != &which.config)) { configs.push_back(&which.config); }
    }
    return facts_for(configs, targets, where);
}

bool is_required(const Target& target, const std::vector<std::string>& required) {
    return std::ranges::any_of(required, [&](const std::string& name) {
        return name == target.hypervisor || name == target.hypervisor + ':' + target.accel;
    });
}

/// A plan on a common project, for grouping; of one that is planned when it begins, only why it isn't for the target.
Planning plan_run(const Case& which, const Target& target, const Sources& sources, const HostFacts& facts,
                  const std::string& common) {
    if (which.apart) { return refused(which, target, needs(which), sources, facts).value_or(Planning{}); }
    return plan_case(which, target, config_for(which.config, target), images_to_copy(which.config, facts, common),
                     sources, facts, common);
}

std::string summary_of(const HostFacts& facts) {
    if (facts.kvm.state == KvmState::works) { return fmt::format("{}, KVM works", facts.arch); }
    return fmt::format("{}, emulated: {}", facts.arch, facts.kvm.reason);
}

} // namespace

RunReport run(const Specs& specs, const std::vector<Target>& targets, const std::vector<Combination>& combinations,
              const RunOptions& options, Progress& progress) {
    const auto begin = std::chrono::steady_clock::now();
    RunReport report;
    report.started = std::time(nullptr);
    report.targets = targets;
    const std::vector<Run> runs = runs_of(combinations, options.repeat);
    std::vector<Planned> planned;
    for (const Run& run : runs) {
        const Case& which = specs.cases[run.which_case];
        planned.push_back({which.spec, which.name, targets[run.target].name()});
    }
    progress.begin(targets, planned);

    Workspace workspace;
    const HostFacts facts = facts_of(specs, targets, runs, workspace.where());
    report.host = facts.hostname;
    report.host_summary = summary_of(facts);

    Scheduler scheduler(specs, targets, options, facts, progress, workspace);
    const std::string common = workspace.project(0) + "-plan";
    std::vector<Planning> plans;
    plans.reserve(runs.size()); // groupable cases point into it
    std::vector<Groupable> groupable;
    std::vector<Group> apart;
    KernelConfigs kernels;
    for (const Run& run : runs) {
        const Case& which = specs.cases[run.which_case];
        const Target& target = targets[run.target];
        Planning& planning = plans.emplace_back(plan_run(which, target, specs.sources, facts, common));
        check_kernels(planning, kernels, facts);
        if (which.apart && planning.verdict.outcome == Outcome::passed) {
            apart.push_back(lone_group(run, which));
            continue;
        }
        if (planning.plan) {
            groupable.push_back({run, &which, &*planning.plan, options.snapshots && shares_snapshots(*planning.plan)});
            continue;
        }
        if (!target.unusable.empty() && is_required(target, options.require)) {
            planning.verdict = {Outcome::error, fmt::format("it is required, and {}", planning.verdict.message)};
        }
        CaseState state = beginning(which, {});
        if (!planning.details.empty()) { state.timeline.push_back({0, planning.details}); }
        scheduler.set_result(run.slot, make_result(subject_of(run, specs, targets, options), planning.verdict,
                                                   planning.where, state, nullptr, facts));
    }
    report.results = scheduler.carry_out(make_groups(groupable, std::move(apart)), runs.size());
    report.coverage = coverage_of(targets, report.results, facts);
    report.duration_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count();
    progress.end(report);
    return report;
}

} // namespace microvmc::testkit
