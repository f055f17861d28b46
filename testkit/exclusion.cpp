#include "testkit/exclusion.h"

#include <algorithm>

namespace microvmc::testkit {

bool is_excluded(const Case& which, const Target& target) {
    return std::ranges::any_of(which.not_on, [&](const Exclusion& exclusion) {
        return (!exclusion.hypervisor || *exclusion.hypervisor == target.hypervisor) &&
               (!exclusion.accel || *exclusion.accel == target.accel) &&
               (!exclusion.interpreted || *exclusion.interpreted == target.interpreted);
    });
}

} // namespace microvmc::testkit
