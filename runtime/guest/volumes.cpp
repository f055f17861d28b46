#include "runtime/guest/volumes.h"

#include "runtime/guest/disks.h"
#include "runtime/guest/mount_options.h"
#include "runtime/guest/superblock.h"
#include "runtime/guest/system.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

namespace microvmc::guest {

namespace {

// fs/ext4/ext4.h; not in the exported headers.
constexpr unsigned long ext4_ioc_resize_fs = _IOW('f', 16, std::uint64_t);

// fs/xfs/libxfs/xfs_fs.h; neither are these.
struct XfsGeometry { // xfs_fsop_geom_v1
    std::uint32_t block_bytes;
    std::uint32_t rt_extent_size;
    std::uint32_t group_blocks;
    std::uint32_t groups;
    std::uint32_t log_blocks;
    std::uint32_t sector_bytes;
    std::uint32_t inode_bytes;
    std::uint32_t max_percent_inodes;
    std::uint64_t blocks;
    std::uint64_t rest[9];
};
struct XfsGrowData {
    std::uint64_t blocks;
    std::uint32_t max_percent_inodes;
};
constexpr unsigned long xfs_ioc_fsgeometry_v1 = _IOR('X', 100, XfsGeometry);
constexpr unsigned long xfs_ioc_fsgrowfsdata = _IOW('X', 110, XfsGrowData);
static_assert(sizeof(XfsGeometry) == 112 && sizeof(XfsGrowData) == 16);

/// What growing a mounted file system takes.
struct Growing {
    const std::string& device;
    int directory = -1; ///< descriptor of where it is mounted
    std::uint64_t disk_bytes = 0;
};

// Each returns 0 or an errno.
int grow_ext(const Growing& what) {
    const auto head = read_file(what.device, ext_superblock_bytes);
    const auto size = head ? ext_size(*head) : std::nullopt;
    if (!size) { return EUCLEAN; }
    std::uint64_t blocks = what.disk_bytes / size->block_bytes;
    if (blocks <= size->blocks) { return 0; }
    return ioctl(what.directory, ext4_ioc_resize_fs, &blocks) == 0 ? 0 : errno;
}

int grow_xfs(const Growing& what) {
    XfsGeometry geometry{};
    if (ioctl(what.directory, xfs_ioc_fsgeometry_v1, &geometry) != 0) { return errno; }
    const XfsGrowData wanted{what.disk_bytes / geometry.block_bytes, geometry.max_percent_inodes};
    // A last group of less than 64 blocks is left out (XFS_MIN_AG_BLOCKS), by mkfs.xfs and by the kernel.
    constexpr std::uint64_t least_group = 64;
    if (wanted.blocks < geometry.blocks + least_group) { return 0; }
    return ioctl(what.directory, xfs_ioc_fsgrowfsdata, &wanted) == 0 ? 0 : errno;
}

int grow_btrfs(const Growing& what) {
    // The kernel resizes none to less (linux: fs/btrfs/ioctl.c, btrfs_ioctl_resize).
    constexpr std::uint64_t least_bytes = std::uint64_t{256} << 20U;
    if (what.disk_bytes < least_bytes) { return 0; }
    btrfs_ioctl_vol_args args{};
    std::memcpy(args.name, "max", sizeof "max"); // does nothing when it is as large as the disk
    return ioctl(what.directory, BTRFS_IOC_RESIZE, &args) == 0 ? 0 : errno;
}

struct FileSystem {
    std::string_view name;
    int (*grow)(const Growing& what); ///< null: it can't
};

constexpr FileSystem file_systems[] = {
    {"ext4", grow_ext},    {"ext3", grow_ext}, {"ext2", grow_ext}, {"xfs", grow_xfs},
    {"btrfs", grow_btrfs}, {"vfat", nullptr},  {"erofs", nullptr},
};

const FileSystem* find_file_system(std::string_view name) {
    for (const auto& file_system : file_systems) {
        if (file_system.name == name) { return &file_system; }
    }
    return nullptr;
}

/// Online: it is mounted.
Failure grow(const FileSystem& file_system, const std::string& device, const std::string& target) {
    const Fd disk(::open(device.c_str(), O_RDONLY | O_CLOEXEC));
    const Fd directory(::open(target.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::uint64_t disk_bytes = 0;
    if (!disk.open() || !directory.open() || ioctl(disk.get(), BLKGETSIZE64, &disk_bytes) != 0) {
        return with_errno({"cannot tell the size of ", device}, errno);
    }
    const int error = file_system.grow({device, directory.get(), disk_bytes});
    if (error == 0) { return std::nullopt; }
    return with_errno({"cannot grow the ", file_system.name, " on ", device, ", mounted on ", target}, error);
}

} // namespace

Failure mount_volume(VolumeSettings& volume) {
    if (volume.mount_point.empty() || volume.fs == "none") { return std::nullopt; }
    const FileSystem* file_system = find_file_system(volume.fs);
    if (file_system == nullptr) { return concat({"unknown file system ", volume.fs, " for ", volume.mount_point}); }
    std::string device;
    if (auto failure = find_disk(volume, device)) { return concat({"volume ", volume.mount_point, ": ", *failure}); }
    if (auto failure = make_directories(volume.mount_point)) { return failure; }
    const MountOptions options = parse_mount_options(volume.options);
    if (mount(device.c_str(), volume.mount_point.c_str(), volume.fs.c_str(), options.flags, options.data.c_str()) !=
        0) {
        if (errno == ENODEV) { return concat({"the kernel has no ", volume.fs, " for ", volume.mount_point}); }
        return with_errno({"cannot mount ", device, " (", volume.fs, ") on ", volume.mount_point}, errno);
    }
    volume.device = device;
    return grow_volume(volume);
}

Failure grow_volume(const VolumeSettings& volume) {
    const FileSystem* file_system = find_file_system(volume.fs);
    const bool can = volume.grow && file_system != nullptr && file_system->grow != nullptr && !volume.device.empty();
    return can ? grow(*file_system, volume.device, volume.mount_point) : std::nullopt;
}

} // namespace microvmc::guest
