#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Mounts the share as the new root, read-only, with a tmpfs above it when the settings say so, takes the kernel's file
/// systems along and makes it `/`. The initramfs is emptied: it is memory.
Failure switch_root(const RootSettings& root);

} // namespace microvmc::guest
