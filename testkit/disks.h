#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// A file in the image of a volume whose machine is stopped.
struct FileRequest {
    std::string image;   ///< absolute path
    std::string format;  ///< raw, qcow2, vhd, vhdx
    std::string fs_type; ///< ext4, ..., vfat
    std::string path;    ///< in the file system, absolute
};

struct FileAnswer {
    std::optional<std::string> content; ///< nothing when it could not be read
    std::string problem;                ///< why not: "no such file", "reading xfs needs libguestfs: apt install ..."
    bool unable = false;                ///< this host has nothing that reads such an image; not the image's fault
    std::string how;                    ///< "libguestfs", "debugfs", "mtools"
};

struct DiskOptions {
    bool emulate = false; ///< KVM can't run libguestfs' kernel: TCG
    std::chrono::milliseconds timeout{180'000};
    std::size_t content_limit = std::size_t{256} << 20U; ///< bytes of one file
};

/// Reads files out of images, without root and read-only; one answer a request, in their order. All images are added
/// before one launch (libguestfs 1.48 adds none later). Without libguestfs: debugfs (e2fsprogs) for ext2, ext3 and ext4,
/// mtools for vfat, raw images only.
std::vector<FileAnswer> read_from_images(const std::vector<FileRequest>& requests, const DiskOptions& options);

} // namespace microvmc::testkit
