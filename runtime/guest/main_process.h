#pragma once

#include "runtime/guest/settings.h"

#include <sys/types.h>

namespace microvmc::guest {

/// Starts the settings' command on the console, as its controlling terminal. `pid` stays as it is when there is none.
Failure start_command(const Settings& settings, const std::vector<std::string>& env, pid_t& pid);

/// Becomes the guest's own init. Returns only when that fails.
Failure become_init(const Settings& settings);

} // namespace microvmc::guest
