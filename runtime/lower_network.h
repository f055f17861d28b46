#pragma once

#include "compiler/facts.h"
#include "runtime/action.h"

#include <string>
#include <vector>

namespace microvmc {

/// What machines of a project share: its networks, and all of its machines, running or not.
struct Neighbours {
    std::vector<NetworkPlan> networks;
    std::vector<const VmPlan*> vms;
};

/// Pure: the networks that a machine joins, then its taps, which join them.
std::vector<Action> lower_networks(const std::string& project, const VmPlan& vm, const Neighbours& neighbours,
                                   const HostFacts& facts);

/// Those of the networks that this machine joins and nobody else does any more.
std::vector<Action> release_networks(const VmPlan& vm);

/// The taps that a machine has while it runs.
std::vector<Tap> taps_of(const VmPlan& vm);
/// What takes away what they are limited by: Launch::release.
std::vector<std::vector<std::string>> releases_of(const VmPlan& vm, const HostFacts& facts);

} // namespace microvmc
