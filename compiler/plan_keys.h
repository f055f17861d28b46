#pragma once

#include "compiler/plan.h"

#include <string>
#include <vector>

namespace microvmc {

/// One key of a machine as a plan shows and compares it.
struct PlanKey {
    std::string key;            ///< "mem", "volumes.data.size"
    std::string text;           ///< as people read it; two plans differ in a key when its text differs
    bool fixed_at_start = true; ///< else a running machine takes it in place
};

/// All that tells one machine from another, in the order in which people read it.
std::vector<PlanKey> plan_keys(const VmPlan& vm);

/// "127.0.0.1:8080 -> 80/tcp"
std::string forward_text(const ForwardPlan& forward);

} // namespace microvmc
