#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a root's file system says of a file, wherever it comes from and goes to.

namespace microvmc {

enum class FileKind { regular, directory, symlink, character_device, block_device, fifo, socket };

struct Xattr {
    std::string name; ///< whole: "security.capability"
    std::string value;
};

struct Attributes {
    std::uint32_t permissions = 0755; ///< the lower twelve bits of st_mode
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::int64_t mtime_s = 0; ///< unix time
    std::uint32_t mtime_ns = 0;
    std::vector<Xattr> xattrs;
};

struct DeviceNumber {
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
};

/// As file systems keep it: Linux' new_encode_dev (include/linux/kdev_t.h).
constexpr std::uint32_t encoded(DeviceNumber device) {
    return (device.minor & 0xffU) | (device.major << 8U) | ((device.minor & ~0xffU) << 12U);
}

/// Some of a file's content; what lies between pieces is zero.
struct Piece {
    std::uint64_t offset = 0;
    std::string_view bytes; ///< valid until the next piece is asked for
};

/// Gives a file's pieces in turn, nothing at the end. Throws Error when they can't be read.
using Pieces = std::function<std::optional<Piece>()>;

} // namespace microvmc
