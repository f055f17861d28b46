#include "runtime/guest/superblock.h"

namespace microvmc::guest {

namespace {

struct Layout {
    std::string_view name;
    std::size_t magic_at; ///< bytes from the disk's start
    std::string_view magic;
    std::size_t uuid_at; ///< 0: it has none
};

constexpr std::size_t ext_super = 1024;

constexpr Layout layouts[] = {
    {"ext4", ext_super + 0x38, std::string_view("\x53\xef", 2), ext_super + 0x68},
    {"xfs", 0, "XFSB", 32},
    {"btrfs", 65536 + 0x40, "_BHRfS_M", 65536 + 0x20},
    {"erofs", 1024, std::string_view("\xe2\xe1\xf5\xe0", 4), 1024 + 48},
    {"squashfs", 0, "hsqs", 0},
};

constexpr std::size_t uuid_bytes = 16;

std::string format_uuid(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (std::size_t i = 0; i < uuid_bytes; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) { out.push_back('-'); }
        const auto byte = static_cast<std::uint8_t>(bytes[i]);
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 15]);
    }
    return out;
}

bool has_magic(std::string_view head, const Layout& layout) {
    return head.size() >= layout.magic_at + layout.magic.size() &&
           head.substr(layout.magic_at, layout.magic.size()) == layout.magic;
}

std::uint32_t little_endian(std::string_view head, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(head[at + i])) << (8 * i);
    }
    return value;
}

// Linux' include/uapi/linux/msdos_fs.h, struct fat_boot_sector; the volume's id as blkid(8) shows it.
std::optional<std::string> fat_volume_id(std::string_view head) {
    constexpr std::size_t sector = 512;
    if (head.size() < sector || head.substr(510, 2) != std::string_view("\x55\xaa", 2)) { return std::nullopt; }
    const bool is_fat32 = head.substr(0x52, 5) == "FAT32";
    if (!is_fat32 && head.substr(0x36, 3) != "FAT") { return std::nullopt; }
    const std::uint32_t id = little_endian(head, is_fat32 ? 0x43 : 0x27);
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (int shift = 28; shift >= 0; shift -= 4) {
        out.push_back(digits[id >> shift & 15]);
        if (shift == 16) { out.push_back('-'); }
    }
    return out;
}

} // namespace

std::optional<std::string> superblock_uuid(std::string_view head) {
    for (const auto& layout : layouts) {
        if (layout.uuid_at != 0 && has_magic(head, layout) && head.size() >= layout.uuid_at + uuid_bytes) {
            return format_uuid(head.substr(layout.uuid_at, uuid_bytes));
        }
    }
    return fat_volume_id(head);
}

std::string_view superblock_file_system(std::string_view head) {
    for (const auto& layout : layouts) {
        if (has_magic(head, layout)) { return layout.name; }
    }
    return {};
}

std::optional<ExtSize> ext_size(std::string_view head) {
    constexpr std::uint32_t incompat_64bit = 0x80;
    if (!has_magic(head, layouts[0]) || head.size() < ext_super + 1024) { return std::nullopt; }
    ExtSize size;
    size.blocks = little_endian(head, ext_super + 0x4);
    if ((little_endian(head, ext_super + 0x60) & incompat_64bit) != 0) {
        size.blocks |= static_cast<std::uint64_t>(little_endian(head, ext_super + 0x150)) << 32;
    }
    const std::uint32_t log_block_size = little_endian(head, ext_super + 0x18);
    if (log_block_size > 6) { return std::nullopt; } // 64 KiB is ext4's largest
    size.block_bytes = 1024U << log_block_size;
    return size;
}

} // namespace microvmc::guest
