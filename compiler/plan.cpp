#include "compiler/plan.h"

namespace microvmc {

std::vector<Device> VmPlan::devices() const {
    std::vector<Device> all;
    all.reserve(volumes.size() + shares.size() + interfaces.size());
    all.insert(all.end(), volumes.begin(), volumes.end());
    all.insert(all.end(), shares.begin(), shares.end());
    all.insert(all.end(), interfaces.begin(), interfaces.end());
    return all;
}

} // namespace microvmc
