#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace microvmc {

/// What a volume's file system can take, as far as more than its own mkfs has to know.
struct FileSystemInfo {
    std::string_view name;             ///< as `fs-type` has it
    std::string_view mkfs;             ///< the program that makes one
    std::string_view package;          ///< Debian's, that has it
    std::size_t label_bytes = 0;       ///< that its superblock has room for
    std::uint64_t least_mib = 1;       ///< its mkfs makes none that is smaller
    std::uint64_t most_mib = 0;        ///< 0: more than any image
    bool grows = false;                ///< while it is mounted
    std::uint64_t least_grown_mib = 0; ///< to no less than this
    /// What its mkfs writes of a sparse image at most: so much, and one part in so many of its size.
    std::uint64_t writes_mib = 1;
    std::uint64_t writes_one_in = 1024;
};

/// Null for "none" and for what isn't known.
const FileSystemInfo* find_file_system(std::string_view name);

/// Why the file system can't have the label; empty when it can.
std::string label_problem(const FileSystemInfo& file_system, std::string_view label);

/// What makes, converts and grows images that aren't raw, and Debian's package that has it.
inline constexpr std::string_view image_program = "qemu-img";
inline constexpr std::string_view image_package = "qemu-utils";

} // namespace microvmc
