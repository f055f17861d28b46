#pragma once

#include "compiler/traits.h"

#include <string_view>

namespace microvmc {

/// What a hypervisor boots.
struct KernelForms {
    std::string_view title; ///< the hypervisor's
    bool bzimage = false;
    bool elf = false;
};

/// Pure: in which form the plan's kernel is booted, and why. An ELF file can be had of a bzImage that says where it
/// has it, but not the other way round; what can't be had becomes one of the choice's problems.
void choose_kernel_image(const VmPlan& vm, const HostFacts& facts, const KernelForms& takes, MachineChoice& choice);

} // namespace microvmc
