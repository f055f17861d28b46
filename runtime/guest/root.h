#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Mounts the root that the settings name, with what takes its writes above it when they say so, takes the kernel's
/// file systems along and makes it `/`. The initramfs is emptied: it is memory.
Failure switch_root(const Settings& settings, const RootSettings& root);

} // namespace microvmc::guest
