#pragma once

#include "compiler/plan.h"
#include "runtime/backend.h"

#include <chrono>
#include <cstdint>
#include <functional>

namespace microvmc {

/// Throws Error when the machine has no balloon.
void require_balloon(const VmPlan& plan);

/// Sets the balloon's size and waits until it is reached; `told` hears how far it is. Throws TimeoutError, which says
/// how far it got, when the guest doesn't get there in time: it has no more to give, or no driver; it stays so.
void set_balloon(Control& control, std::uint64_t mib, std::chrono::milliseconds timeout,
                 const std::function<void(std::uint64_t)>& told = {});

} // namespace microvmc
