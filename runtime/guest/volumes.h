#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Finds the volume's disk, mounts its file system (making the mount point) and grows it to the disk when asked to.
Failure mount_volume(const VolumeSettings& volume);

} // namespace microvmc::guest
