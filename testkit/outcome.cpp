#include "testkit/outcome.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/lower.h"
#include "testkit/artifacts.h"
#include "testkit/machines.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>

namespace microvmc::testkit {

namespace {

std::vector<std::string> command_lines_of(const Plan& plan, const HostFacts& facts) {
    std::vector<std::string> lines;
    for (const VmPlan& vm : plan.vms) {
        for (const Child& child : commands(vm, facts)) { lines.push_back(shell_quoted(child.argv)); }
    }
    return lines;
}

std::string_view kernel_capability(KernelImage image) {
    switch (image) {
    case KernelImage::bzimage: return "kernel.bzimage";
    case KernelImage::elf: return "kernel.elf";
    case KernelImage::unknown: return {};
    }
    return {};
}

} // namespace

std::vector<std::string> proven(const std::vector<std::string>& proves, const Target& target, const Plan& plan) {
    std::vector<std::string> kept;
    for (const std::string& capability : proves) {
        const bool of_accel = capability.starts_with("accel.");
        const bool of_image = capability == "kernel.bzimage" || capability == "kernel.elf";
        const bool booted_so = std::ranges::any_of(
            plan.vms, [&](const VmPlan& vm) { return kernel_capability(vm.kernel.image) == capability; });
        if (of_accel && capability != "accel." + target.accel) { continue; }
        if (of_image && !booted_so) { continue; }
        kept.push_back(capability);
    }
    return kept;
}

CaseResult make_result(const Subject& subject, const Verdict& verdict, std::string where, const CaseState& state,
                       const Plan* plan, const HostFacts& facts) {
    CaseResult result;
    result.spec = subject.which.spec;
    result.name = subject.which.name;
    result.target = subject.target.name();
    result.outcome = verdict.outcome;
    result.message = verdict.message;
    result.where = std::move(where);
    result.duration_ms = state.elapsed_ms;
    result.boot_ms = state.boot_ms;
    result.attempt = subject.attempt;
    if (plan != nullptr) { result.proves = proven(subject.which.proves, subject.target, *plan); }
    const bool passed = verdict.outcome == Outcome::passed;
    if (!passed || !subject.artifacts.empty()) {
        result.timeline = state.timeline;
        if (plan != nullptr) { result.command_lines = command_lines_of(*plan, facts); }
    }
    if (!passed && plan != nullptr) {
        for (const VmPlan& vm : plan->vms) {
            const std::string said = console_end(vm);
            if (!said.empty()) { result.console += fmt::format("{}:\n{}", vm.name, said); }
        }
    }
    if (!subject.artifacts.empty()) {
        result.artifacts = artifacts_path(subject.artifacts, result, subject.round);
        try {
            write_artifacts(result, plan, result.artifacts);
        } catch (const std::exception& error) {
            result.timeline.push_back({result.duration_ms, printable(error.what())});
            result.artifacts.clear();
        }
        if (passed) { // that is in its files now
            result.timeline.clear();
            result.command_lines.clear();
        }
    }
    return result;
}

} // namespace microvmc::testkit
