#pragma once

#include "compiler/plan.h"
#include "runtime/backend.h"

#include <string>
#include <vector>

namespace microvmc {

/// Pure: what the guest's init is told (guest/spec.h), but for the `module` records, which are added when the initramfs
/// is made.
std::string guest_spec(const VmPlan& vm, const Lowered& lowered);

/// Pure: the drivers that the guest needs to mount the volume, whichever hypervisor it has; none when it isn't mounted.
/// `takes_writes`: it is mounted for what the guest writes to its root.
std::vector<std::string> file_system_modules(const VolumePlan& volume, bool takes_writes);

} // namespace microvmc
