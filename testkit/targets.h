#pragma once

#include "compiler/facts.h"
#include "testkit/result.h"

#include <string>
#include <vector>

namespace microvmc::testkit {

struct NamedKernel {
    std::string path; ///< absolute
    std::string
        hypervisor; ///< the only one that boots it, and nothing else then; empty: all that have none of their own
};

/// What the command line says of where cases run.
struct TargetRequest {
    /// "qemu": by its best accelerator that works; "qemu:tcg": by that one. Empty: the first hypervisor that works.
    std::vector<std::string> hypervisors;
    bool all = false;                 ///< every hypervisor with every accelerator that it has
    std::vector<NamedKernel> kernels; ///< each target with each of them. Empty: what the machines say
};

/// "FILE" or "HYPERVISOR=FILE"; the file becomes absolute.
NamedKernel named_kernel(const std::string& text);

/// The columns of the matrix, in the order of the backends and of their accelerators, each once; those on which nothing
/// can run here say why. Throws Error for a hypervisor or an accelerator that there is not.
std::vector<Target> find_targets(const TargetRequest& request, const HostFacts& facts);

/// Every name that `hypervisors` of a request takes, for completion and messages: "qemu", "qemu:kvm", ...
std::vector<std::string> target_names();

} // namespace microvmc::testkit
