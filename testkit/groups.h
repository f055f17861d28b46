#pragma once

#include "compiler/plan.h"
#include "testkit/spec.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// One time that a case runs on a target.
struct Run {
    std::size_t which_case = 0;
    std::size_t target = 0;
    std::uint32_t round = 1;
    std::uint32_t attempt = 1;
    std::size_t slot = 0; ///< where its result belongs
    friend bool operator==(const Run&, const Run&) = default;
};

/// What grouping goes by.
struct Groupable {
    Run run;
    const Case* which = nullptr;
    const Plan* plan = nullptr; ///< made for a common project, so that what is derived from its name is alike
    bool snapshot = false;      ///< isolated: its machine may start from a snapshot that others use, too
};

/// Cases that one boot serves, in the order in which they run.
struct Group {
    std::vector<Run> runs;
    std::uint64_t mem_mib = 0;
    std::uint32_t cost = 0;          ///< a rough guess, to begin what takes longest first
    bool reads_volumes = false;      ///< one of them comes to a step that reads a volume
    bool isolated = false;           ///< each of them gets machines as they are when they have booted
    std::string snapshot;            ///< the directory of the one that they start from; empty: they boot
    std::set<std::string> exclusive; ///< what only one group may have at a time
};

/// Whether a case leaves its machines other than it got them: stopped, rebooted, with less memory.
bool changes_machines(const Case& which);

/// One that nothing else shares.
Group lone_group(const Run& run, const Case& which);

/// Pure. Cases share a boot when their plans are the same in everything but where things lie and why; one that changes
/// its machines comes last, and only one of those in a group. Isolated ones share with none but their like, and only a
/// snapshot. `others` are as they are. What takes longest comes first.
std::vector<Group> make_groups(const std::vector<Groupable>& all, std::vector<Group> others = {});

/// Whether machines of such a plan can go on side by side from one snapshot: their hypervisor saves them as they are,
/// and their guests know nothing that only one of them may have on the host.
bool shares_snapshots(const Plan& plan);

} // namespace microvmc::testkit
