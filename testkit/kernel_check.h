#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"
#include "runtime/kernel/config.h"
#include "testkit/planning.h"

#include <map>
#include <optional>
#include <string>

namespace microvmc::testkit {

/// What kernels were built with, looked up once each.
class KernelConfigs {
public:
    /// Why a machine's kernel can't run it: "vmlinux has no CONFIG_VIRTIO_BLK"; empty: nothing is known against it,
    /// which a kernel without a configuration always is.
    std::string against(const VmPlan& vm, const HostFacts& facts);

private:
    const std::optional<KernelConfig>& config_of(const VmPlan& vm, const HostFacts& facts);

    std::map<std::string, std::optional<KernelConfig>> known_; ///< by the kernel's and the named configuration's path
};

/// Takes the plan away from one whose kernel can't run it, and says why.
void check_kernels(Planning& planning, KernelConfigs& kernels, const HostFacts& facts);

/// Pure. The same for a configuration that is known.
std::string missing_for(const VmPlan& vm, const KernelConfig& config);

} // namespace microvmc::testkit
