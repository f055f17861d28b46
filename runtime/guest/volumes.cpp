#include "runtime/guest/volumes.h"

#include "runtime/guest/disks.h"
#include "runtime/guest/mount_options.h"
#include "runtime/guest/superblock.h"
#include "runtime/guest/system.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

// fs/ext4/ext4.h; not in the exported headers.
constexpr unsigned long ext4_ioc_resize_fs = _IOW('f', 16, std::uint64_t);

/// Online: `target` is mounted. `head`: the disk's beginning before that.
Failure grow_ext4(const std::string& device, const std::string& target, std::string_view head) {
    const auto size = ext_size(head);
    const Fd disk(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    std::uint64_t disk_bytes = 0;
    if (!size || !disk.open() || ioctl(disk.get(), BLKGETSIZE64, &disk_bytes) != 0) {
        return concat({"cannot tell the size of the file system on ", device});
    }
    std::uint64_t blocks = disk_bytes / size->block_bytes;
    if (blocks <= size->blocks) { return std::nullopt; }
    const Fd directory(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.open() || ioctl(directory.get(), ext4_ioc_resize_fs, &blocks) != 0) {
        return with_errno({"cannot grow the file system on ", device, ", mounted on ", target}, errno);
    }
    return std::nullopt;
}

struct FileSystem {
    std::string_view name;
    Failure (*grow)(const std::string& device, const std::string& target, std::string_view head); ///< null: it can't
};

// ext2 and ext3 are ext4's driver under another name, which can't resize without their features.
constexpr FileSystem file_systems[] = {
    {"ext4", grow_ext4}, {"ext3", nullptr}, {"ext2", nullptr}, {"xfs", nullptr}, {"btrfs", nullptr}, {"vfat", nullptr},
};

const FileSystem* find_file_system(std::string_view name) {
    for (const auto& file_system : file_systems) {
        if (file_system.name == name) { return &file_system; }
    }
    return nullptr;
}

} // namespace

Failure mount_volume(const VolumeSettings& volume) {
    if (volume.mount_point.empty() || volume.fs == "none") { return std::nullopt; }
    const FileSystem* file_system = find_file_system(volume.fs);
    if (file_system == nullptr) { return concat({"unknown file system ", volume.fs, " for ", volume.mount_point}); }
    std::string device;
    if (auto failure = find_disk(volume, device)) { return concat({"volume ", volume.mount_point, ": ", *failure}); }
    std::optional<std::string> head;
    if (volume.grow) { head = read_file(device, ext_superblock_bytes); }
    if (auto failure = make_directories(volume.mount_point)) { return failure; }
    const MountOptions options = parse_mount_options(volume.options);
    if (mount(device.c_str(), volume.mount_point.c_str(), volume.fs.c_str(), options.flags, options.data.c_str()) !=
        0) {
        if (errno == ENODEV) { return concat({"the kernel has no ", volume.fs, " for ", volume.mount_point}); }
        return with_errno({"cannot mount ", device, " (", volume.fs, ") on ", volume.mount_point}, errno);
    }
    if (volume.grow && file_system->grow != nullptr) {
        return file_system->grow(device, volume.mount_point, head.value_or(""));
    }
    return std::nullopt;
}

} // namespace microvmc::guest
