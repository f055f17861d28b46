#pragma once

#include "compiler/diff.h"
#include "compiler/plan.h"
#include "runtime/action.h"

#include <vector>

namespace microvmc {

/// Pure: the actions that make `changes` true, machine by machine, in the plan's order.
std::vector<Action> lower(const Plan& plan, const Changes& changes, const Observed& observed, const HostFacts& facts);

/// The VMM's exact command lines of one machine, for `plan --commands`.
std::vector<Child> commands(const VmPlan& vm, const HostFacts& facts);

} // namespace microvmc
