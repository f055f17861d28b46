#include "compiler/file_system.h"

#include "compiler/text.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace microvmc {

namespace {

// Labels: s_volume_name (linux: Documentation/filesystems/ext4/super.rst), sb_fname (fs/xfs/libxfs/xfs_format.h),
// BTRFS_LABEL_SIZE less its NUL (include/uapi/linux/btrfs_tree.h), a directory entry's name (FAT). Least sizes:
// xfsprogs 6.1 mkfs/xfs_mkfs.c, btrfs-progs 6.2 mkfs/common.c for mixed block groups. FAT counts sectors of 512 bytes
// in 32 bits. What is written, measured: ext3's journal and the inode tables of ext2 and ext3, xfs' log, both FATs.
constexpr std::array table{
    FileSystemInfo{.name = "ext4",
                   .mkfs = "mke2fs",
                   .package = "e2fsprogs",
                   .label_bytes = 16,
                   .grows = true,
                   .writes_one_in = 4096},
    FileSystemInfo{.name = "ext3",
                   .mkfs = "mke2fs",
                   .package = "e2fsprogs",
                   .label_bytes = 16,
                   .grows = true,
                   .writes_mib = 4,
                   .writes_one_in = 20},
    FileSystemInfo{.name = "ext2",
                   .mkfs = "mke2fs",
                   .package = "e2fsprogs",
                   .label_bytes = 16,
                   .grows = true,
                   .writes_one_in = 50},
    FileSystemInfo{.name = "xfs",
                   .mkfs = "mkfs.xfs",
                   .package = "xfsprogs",
                   .label_bytes = 12,
                   .least_mib = 16,
                   .grows = true,
                   .writes_mib = 70,
                   .writes_one_in = 2000},
    FileSystemInfo{.name = "btrfs",
                   .mkfs = "mkfs.btrfs",
                   .package = "btrfs-progs",
                   .label_bytes = 254,
                   .least_mib = 16,
                   .grows = true,
                   .least_grown_mib = 256,
                   .writes_mib = 5},
    FileSystemInfo{.name = "vfat",
                   .mkfs = "mkfs.vfat",
                   .package = "dosfstools",
                   .label_bytes = 11,
                   .most_mib = 2'097'151,
                   .writes_one_in = 2048},
};

// What dosfstools refuses (src/common.c, validate_volume_label), and what it would write in the host's code page.
std::string fat_label_problem(std::string_view label) {
    constexpr std::string_view forbidden = R"(*?.,;:/\|+=<>[]")";
    if (label.starts_with(' ')) { return "a label of FAT begins with no space"; }
    for (const char c : label) {
        if (c >= 'a' && c <= 'z') { return "FAT keeps labels in upper case"; }
        if (static_cast<unsigned char>(c) >= 0x80) { return "FAT's labels are ASCII"; }
        if (forbidden.find(c) != std::string_view::npos) { return fmt::format("a label of FAT has no `{}`", c); }
    }
    return {};
}

} // namespace

const FileSystemInfo* find_file_system(std::string_view name) {
    const auto* const found = std::ranges::find(table, name, &FileSystemInfo::name);
    return found == table.end() ? nullptr : &*found;
}

std::string label_problem(const FileSystemInfo& file_system, std::string_view label) {
    if (label.size() > file_system.label_bytes) {
        return fmt::format("the label has {} bytes, and {} keeps {}", label.size(), file_system.name,
                           file_system.label_bytes);
    }
    // They would end the line of whoever lists labels.
    if (has_control(label)) { return "the label has a control character in it"; }
    return file_system.name == "vfat" ? fat_label_problem(label) : std::string();
}

} // namespace microvmc
