#pragma once

#include "compiler/plan.h"

#include <optional>
#include <string>
#include <vector>

namespace microvmc {

/// One machine as the host shows it now.
struct ObservedVm {
    std::string name;
    /// What it was made by: the running machine's own plan when it runs, else the last one that was applied.
    std::optional<VmPlan> plan;
    bool running = false;
    /// A one-shot machine that has ended as its plan's `ready.exit` wants.
    bool completed = false;
    /// Volume name -> size of its image in MiB, of those that exist.
    std::map<std::string, std::uint64_t> volumes;
};

/// The plan that a machine runs by; null: it doesn't run, or nothing is known of it.
inline const VmPlan* running_plan(const ObservedVm* vm) {
    return vm != nullptr && vm->running && vm->plan ? &*vm->plan : nullptr;
}

/// What runs and what was recorded, of one project.
struct Observed {
    std::vector<NetworkPlan> networks; ///< as they were applied last
    std::vector<ObservedVm> vms;
    [[nodiscard]] const ObservedVm* find(std::string_view name) const;
};

} // namespace microvmc
