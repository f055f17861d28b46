#include "testkit/kernel_check.h"

#include "compiler/kernel_options.h"
#include "runtime/backend.h"
#include "runtime/kernel/config.h"

namespace microvmc::testkit {

std::string missing_for(const VmPlan& vm, const KernelOptions& options) {
    return kernel_lacks(vm, options, kernel_needs(backend(vm.hypervisor), vm));
}

std::string KernelConfigs::against(const VmPlan& vm, const HostFacts& facts) {
    const std::string& path = vm.kernel.source;
    if (!vm.kernel.config.empty() || facts.named_kernels.contains(path)) { return {}; }
    const auto [known, is_new] = known_.try_emplace(path);
    if (is_new) {
        KernelFacts kernel;
        kernel.path = path;
        kernel.release = vm.kernel.release;
        kernel.image = KernelImage::bzimage; // the host's own are
        known->second = options_of(find_kernel_config(kernel, "").value_or(""));
    }
    return known->second.empty() ? std::string() : missing_for(vm, known->second);
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
