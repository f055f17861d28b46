#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"
#include "testkit/planning.h"

#include <map>
#include <string>

namespace microvmc::testkit {

/// What the host's own kernels were built with, looked up once each. One that is named by path, or with its
/// configuration, was looked at when the machine was planned.
class KernelConfigs {
public:
    /// Why a machine's kernel can't run it: "vmlinux lacks CONFIG_VIRTIO_BLK"; empty: nothing is known against it,
    /// which a kernel without a configuration always is.
    std::string against(const VmPlan& vm, const HostFacts& facts);

private:
    std::map<std::string, KernelOptions> known_; ///< by the kernel's path; empty: it has no configuration
};

/// Takes the plan away from one whose kernel can't run it, and says why.
void check_kernels(Planning& planning, KernelConfigs& kernels, const HostFacts& facts);

/// Pure. The same for a configuration that is known.
std::string missing_for(const VmPlan& vm, const KernelOptions& options);

} // namespace microvmc::testkit
