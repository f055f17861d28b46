#pragma once

#include "compiler/plan.h"
#include "runtime/files.h"

#include <cstdint>
#include <string>
#include <vector>

// A machine as it was at one moment: its memory and devices in the VMM's own format, and copies of its volumes. A
// directory of ours (0700) with files of mode 0600, since the memory holds secrets:
//
//   snapshot.json   what this file's Snapshot says
//   state/          the VMM's
//   volumes/NAME    each volume's image, in the volume's format

namespace microvmc {

struct Snapshot {
    std::string directory;
    std::int64_t taken = 0; ///< unix seconds
    bool ready = false;     ///< the machine was, then
    VmPlan plan;            ///< that it ran by, with the memory that it had

    [[nodiscard]] std::string state_dir() const { return directory + "/state"; }
    [[nodiscard]] std::string volume_path(const std::string& name) const { return directory + "/volumes/" + name; }
};

/// Where a machine's own snapshots are, below its state directory.
std::string snapshots_dir(const std::string& state_dir);

struct SnapshotOptions {
    bool replace = false;      ///< one that is there
    Sync sync = Sync::to_disk; ///< whether it has to outlive a power cut
};

/// Saves the machine that runs in `runtime_dir` to `directory`, whose parent exists: all of it or nothing. The machine
/// stands still meanwhile, and goes on (its clock set) however this ends; one that is paused stays so. SIGINT, SIGTERM
/// and SIGHUP of this thread wait until it goes on again; a copy under way is given up for them. Throws Error: no such
/// machine, its hypervisor can't (and why: a share that the guest has mounted), `directory` is there.
Snapshot take_snapshot(const std::string& runtime_dir, const std::string& directory, const SnapshotOptions& options);

/// Throws Error when there is none, or this version can't read it.
Snapshot read_snapshot(const std::string& directory);

/// All that a machine has, the newest first. What a killed `take_snapshot` left is not one.
std::vector<Snapshot> list_snapshots(const std::string& state_dir);

/// Removes what killed `take_snapshot`s left beside a machine's snapshots; nobody may be taking one.
void sweep_snapshots(const std::string& state_dir);

/// Pure: why a machine of this plan can't go on from the snapshot, a line each ("vcpu was 2, is 4"); none: it can.
/// Where things lie on the host, and its ports, may differ: the first only with "snapshot.elsewhere".
std::vector<std::string> against_restore(const Snapshot& snapshot, const VmPlan& plan);

/// Pure: the snapshot's own plan for another place: with other state and runtime directories, its images below the new
/// one. Ports, taps and CIDs stay, so that the caller who has two at once gives them others.
VmPlan placed_at(const Snapshot& snapshot, const std::string& state_dir, const std::string& runtime_dir);

} // namespace microvmc
