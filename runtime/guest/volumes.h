#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Finds the volume's disk, mounts its file system (making the mount point) and grows it to the disk when asked to.
Failure mount_volume(VolumeSettings& volume);

/// Grows the file system of a mounted volume to its disk when asked to; as large as that already is fine.
Failure grow_volume(const VolumeSettings& volume);

} // namespace microvmc::guest
