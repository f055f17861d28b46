#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Mounts the share, making its mount point. Waits for its device.
Failure mount_share(const ShareSettings& share);

} // namespace microvmc::guest
