#pragma once

#include "runtime/guest/text.h"

namespace microvmc::guest {

/// Mounts the kernel's file systems (proc, sysfs, devtmpfs, devpts, cgroup2 where the kernel has them) and a tmpfs on
/// /run, /tmp and /dev/shm. What is mounted already stays.
Failure mount_base();

/// Opens /dev/console as stdin, stdout and stderr: the kernel had none to give before /dev was mounted.
void open_stdio();

} // namespace microvmc::guest
