#pragma once

#include "runtime/backend.h"
#include "runtime/machine.h"

#include <memory>
#include <string>
#include <string_view>

namespace microvmc {

/// The control handle of a machine that runs, by its own plan. Throws Error when its supervisor doesn't know the plan,
/// or its VMM doesn't answer.
std::unique_ptr<Control> attach_control(const MachineStatus& status);

/// The plan that it was started by. Throws Error.
VmPlan plan_of(const MachineStatus& status);

/// Throws Error when the machine's hypervisor has no such capability ("pause"), with the reason and the remedy.
void require_capability(const VmPlan& plan, std::string_view capability);

/// Has the guest, which stood still, set its clock and reseed its random numbers. False, and `why` in words: it could
/// not be done.
bool renew_guest(const std::string& runtime_dir, std::string& why);

} // namespace microvmc
