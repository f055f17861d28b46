#pragma once

#include "runtime/guest/system.h"

#include <string>
#include <string_view>
#include <vector>

namespace microvmc::guest {

/// A socket on which the kernel tells of devices (netlink(7), NETLINK_KOBJECT_UEVENT); not open when it can't be had.
Fd open_device_events();

/// The disks ("vda") that changed their size, as told since the last call. virtio-blk says so for every change of its
/// capacity (linux: drivers/block/virtio_blk.c, block/genhd.c, RESIZE=1).
std::vector<std::string> read_resized_disks(int socket);

/// The disk that one message says has another size; empty: it says something else.
std::string resized_disk(std::string_view message);

} // namespace microvmc::guest
