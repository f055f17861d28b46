#include "testkit/kernel_check.h"

#include "compiler/text.h"
#include "runtime/backend.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc::testkit {

namespace {

/// Facts of the kernel that was chosen, as far as finding its configuration goes.
KernelFacts kernel_of(const VmPlan& vm, const HostFacts& facts) {
    const auto named = facts.named_kernels.find(vm.kernel.source);
    if (named != facts.named_kernels.end()) { return named->second; }
    KernelFacts kernel;
    kernel.path = vm.kernel.source;
    kernel.release = vm.kernel.release;
    kernel.image = KernelImage::bzimage; // the host's own are
    return kernel;
}

} // namespace

std::string missing_for(const VmPlan& vm, const KernelConfig& config) {
    const Backend& its = backend(vm.hypervisor);
    std::vector<std::string_view> wanted = init_options();
    for (const std::string_view option : its.kernel_options(vm)) { wanted.push_back(option); }
    const Lowered lowered = its.lower(vm, {});
    for (const std::string& module : lowered.modules) {
        if (const std::string_view option = option_of_module(module); !option.empty()) { wanted.push_back(option); }
    }
    const std::vector<std::string> missing = missing_options(config, wanted, !vm.kernel.modules.empty());
    if (missing.empty()) { return {}; }
    const std::string name = vm.kernel.source.substr(vm.kernel.source.rfind('/') + 1);
    return fmt::format("{} lacks {}{}", printable(name), fmt::join(missing, ", "),
                       vm.kernel.modules.empty() ? " (it comes without modules)" : "");
}

std::string KernelConfigs::against(const VmPlan& vm, const HostFacts& facts) {
    const std::optional<KernelConfig>& config = config_of(vm, facts);
    return config ? missing_for(vm, *config) : std::string();
}

const std::optional<KernelConfig>& KernelConfigs::config_of(const VmPlan& vm, const HostFacts& facts) {
    const std::string key = vm.kernel.source + '\n' + vm.kernel.config;
    const auto known = known_.find(key);
    if (known != known_.end()) { return known->second; }
    const auto text = find_kernel_config(kernel_of(vm, facts), vm.kernel.config);
    return known_.emplace(key, text ? std::optional(KernelConfig::parse(*text)) : std::nullopt).first->second;
}

void check_kernels(Planning& planning, KernelConfigs& kernels, const HostFacts& facts) {
    if (!planning.plan) { return; }
    for (const VmPlan& vm : planning.plan->vms) {
        std::string why = kernels.against(vm, facts);
        if (why.empty()) { continue; }
        planning.plan.reset();
        planning.verdict = {Outcome::skipped, std::move(why)};
        return;
    }
}

} // namespace microvmc::testkit
