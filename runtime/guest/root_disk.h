#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Mounts the root's disk, or a partition of it, on `target`: by the file system that the settings or its superblock
/// name, whose modules are loaded for it.
Failure mount_root_disk(const Settings& settings, const RootSettings& root, const char* target);

/// The device of a disk's partition; 0: the disk itself. Pure: "/dev/vda", 2 -> "/dev/vda2"; "/dev/nvme0n1", 2 ->
/// "/dev/nvme0n1p2" (kernel: block/partitions/core.c).
std::string partition_device(const std::string& disk, unsigned partition);

} // namespace microvmc::guest
