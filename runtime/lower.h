#pragma once

#include "compiler/diff.h"
#include "compiler/plan.h"
#include "runtime/action.h"
#include "runtime/snapshot.h"

#include <string>
#include <vector>

namespace microvmc {

/// Pure: the actions that make `changes` true, a group a machine. What takes long is made first, while what runs goes
/// on; then what is destroyed or stopped, since that frees ports and memory, dependants before what they depend on; then what several machines need, once; then the
/// machines, each after those that it depends on are ready, and those that are restarted one after the other. Makes no
/// DeleteVolume.
std::vector<ActionGroup> lower_groups(const Plan& plan, const Changes& changes, const Observed& observed,
                                      const HostFacts& facts);
/// The same as one list, in an order that does as well one by one.
std::vector<Action> lower(const Plan& plan, const Changes& changes, const Observed& observed, const HostFacts& facts);

/// Starts machines that don't run, as they were recorded, each after those of them that it depends on.
std::vector<ActionGroup> lower_starts(const std::string& project, const std::vector<const VmPlan*>& vms,
                                      const Observed& observed, const HostFacts& facts);

/// Without waiting until machines are ready, but for those that others depend on.
void forget_readiness(std::vector<ActionGroup>& groups);

/// Starts a machine that doesn't run, as `vm` says, and records it. `observed`: what is known of its project; volumes
/// that exist with less than their size are grown.
std::vector<Action> lower_start(const std::string& project, const VmPlan& vm, const Observed& observed,
                                const HostFacts& facts);

/// The same of a machine that may run: it is stopped then, within `timeout_ms`, once all is ready for its start.
std::vector<Action> lower_restart(const std::string& project, const VmPlan& vm, std::int64_t timeout_ms,
                                  const Observed& observed, const HostFacts& facts);

/// Has a machine go on as the snapshot has it, as `vm` says: its own plan, or the same at another place
/// (against_restore). Copies of the snapshot's volumes take the place of its own, which are put back when it fails; one
/// that runs is killed once the copies are made.
std::vector<Action> lower_restore(const std::string& project, const VmPlan& vm, const Snapshot& snapshot,
                                  const Observed& observed, const HostFacts& facts);

/// Stops it, bounded by its own shutdown timeout; its record stays.
std::vector<Action> lower_stop(const VmPlan& vm);

/// Where a machine's things lie, known without a plan.
struct MachinePlace {
    std::string name;
    std::string state_dir;
    std::string runtime_dir;
};

/// Stops a machine and removes its record, logs and runtime directory. `with_volumes`: the images that microvmc made
/// for it are deleted, too, last, but for those with `protect`; without, every image stays where it is.
std::vector<Action> lower_destroy(const ObservedVm& observed, const MachinePlace& place, bool with_volumes);

/// Where the image that the machine would be started with now lies; empty: it needs none.
std::string initramfs_path(const VmPlan& vm, const HostFacts& facts);

/// The VMM's exact command lines of one machine, for `plan --commands`.
std::vector<Child> commands(const VmPlan& vm, const HostFacts& facts);

} // namespace microvmc
