#pragma once

#include "testkit/disks.h"

#include <string>

namespace microvmc::testkit {

/// One answer without libguestfs, which couldn't be had for the reason `why`: raw images alone, files of ext2, ext3 and
/// ext4 by debugfs(8), of vfat by mtools(1), labels and UUIDs by blkid(8).
FileAnswer read_without_libguestfs(const FileRequest& request, const DiskOptions& options, const std::string& why);

} // namespace microvmc::testkit
