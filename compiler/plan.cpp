#include "compiler/plan.h"

#include <tuple>

namespace microvmc {

bool operator==(const VmPlan& a, const VmPlan& b) {
    const auto kernel = [](const VmPlan& vm) {
        const KernelPlan& k = vm.kernel;
        return std::tie(k.source, k.release, k.identity, k.pin, k.modules, k.image, k.params);
    };
    const auto rest = [](const VmPlan& vm) {
        return std::tie(vm.name, vm.enabled, vm.hypervisor, vm.program, vm.program_version, vm.machine, vm.accel,
                        vm.extra_args, vm.options, vm.arch, vm.vcpu, vm.mem_mib, vm.root, vm.hostname, vm.command,
                        vm.env, vm.workdir, vm.volumes, vm.shares, vm.interfaces, vm.ready, vm.startup_timeout_ms,
                        vm.shutdown_timeout_ms, vm.state_dir, vm.runtime_dir);
    };
    return kernel(a) == kernel(b) && rest(a) == rest(b);
}

std::vector<Device> VmPlan::devices() const {
    std::vector<Device> all;
    all.reserve(volumes.size() + shares.size() + interfaces.size());
    all.insert(all.end(), volumes.begin(), volumes.end());
    all.insert(all.end(), shares.begin(), shares.end());
    all.insert(all.end(), interfaces.begin(), interfaces.end());
    return all;
}

} // namespace microvmc
