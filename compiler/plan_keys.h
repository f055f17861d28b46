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
    std::string element{};      ///< what it is a part of: "volumes.data"; empty: nothing
};

/// A volume, a share, an interface, a device or a credential in one line.
struct PlanElement {
    std::string name; ///< "volumes.data"
    std::string text; ///< "64MiB ext4 on /data"
    std::string more; ///< the image's path, the protocol
};
std::vector<PlanElement> plan_elements(const VmPlan& vm);

/// All that tells one machine from another, in the order in which people read it.
std::vector<PlanKey> plan_keys(const VmPlan& vm);

/// "/, read-only, changes kept in memory"
std::string root_text(const RootPlan& root);
/// "nat  10.9.0.0/24  bridge mvbr1c0ffee0"
std::string network_text(const NetworkPlan& network);
/// "http :80/healthz"
std::string ready_text(const ReadyPlan& ready);

/// "127.0.0.1:8080 -> 80/tcp"
std::string forward_text(const ForwardPlan& forward);

} // namespace microvmc
