#pragma once

#include "runtime/launch.h"

namespace microvmc {

/// The exit status that stands for a machine's end, of `run` and `wait --for end`: the guest's own, 0 when it powered
/// off or rebooted, and one for each end that is none of these.
int exit_of(const End& end);

/// The same for people, of exit_of's values.
inline constexpr const char* end_statuses =
    "the guest's status, 255 when it panicked, 254 when its hypervisor or a process that it needs crashed, 137 when it "
    "was killed, 3 when it didn't end in time and was killed, 125 when it never ran";

} // namespace microvmc
