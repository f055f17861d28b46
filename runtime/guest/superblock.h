#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace microvmc::guest {

/// Enough of a disk's beginning for every file system that `superblock_uuid` knows (btrfs' lies at 64 KiB).
inline constexpr std::size_t superblock_bytes = 65536 + 4096;

/// Enough for ext alone; reading the other 64 KiB takes 20 ms on an emulated machine.
inline constexpr std::size_t ext_superblock_bytes = 4096;

/// The UUID of the ext, xfs, btrfs or erofs file system whose disk begins with `head`, lower case, or FAT's volume id
/// ("54B3-B3B2"); nothing when it is none of them. Offsets: Linux' Documentation/filesystems/ext4/super.rst (s_magic,
/// s_uuid), fs/xfs/libxfs/xfs_format.h (xfs_dsb), include/uapi/linux/btrfs_tree.h (btrfs_super_block),
/// fs/erofs/erofs_fs.h (erofs_super_block), fs/squashfs/squashfs_fs.h (SQUASHFS_MAGIC).
std::optional<std::string> superblock_uuid(std::string_view head);

/// The name of the file system whose disk begins with `head`, as mount(2) takes it: ext4 (its driver mounts ext2 and
/// ext3 as well), xfs, btrfs, erofs, squashfs; empty when it is none of these.
std::string_view superblock_file_system(std::string_view head);

struct ExtSize {
    std::uint64_t blocks = 0;
    std::uint32_t block_bytes = 0;

    friend bool operator==(const ExtSize&, const ExtSize&) = default;
};

/// The size of the ext file system whose disk begins with `head`; nothing when it is none.
std::optional<ExtSize> ext_size(std::string_view head);

} // namespace microvmc::guest
