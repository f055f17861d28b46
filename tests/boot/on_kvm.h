#pragma once

#include <array>
#include <string>

namespace microvmc::boot {

/// A hypervisor that takes KVM.
struct OnKvm {
    const char* name;
    const char* program;
    const char* kernel; ///< the variable that names a kernel for it
};

inline constexpr std::array all_on_kvm{
    OnKvm{"cloud-hypervisor", "cloud-hypervisor", "MICROVMC_ELF_KERNEL"},
    OnKvm{"firecracker", "firecracker", "MICROVMC_ELF_KERNEL"},
    OnKvm{"crosvm", "crosvm", "MICROVMC_ELF_KERNEL"},
    OnKvm{"alioth", "alioth", "MICROVMC_ELF_KERNEL"},
    OnKvm{"kvmtool", "lkvm", "MICROVMC_BZIMAGE_KERNEL"},
    OnKvm{"stratovirt", "stratovirt", "MICROVMC_BZIMAGE_KERNEL"},
};

/// Why it runs no guests here; empty: it does.
std::string unusable(const OnKvm& hypervisor);
/// The kernel that is named for it; empty: none is.
std::string kernel_for(const OnKvm& hypervisor);

} // namespace microvmc::boot
