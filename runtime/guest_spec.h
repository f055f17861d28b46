#pragma once

#include "compiler/plan.h"
#include "runtime/backend.h"

#include <string>

namespace microvmc {

/// Pure: what the guest's init is told (guest/spec.h), but for the `module` records, which are added when the initramfs
/// is made.
std::string guest_spec(const VmPlan& vm, const Lowered& lowered);

} // namespace microvmc
