#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// What is read of a volume's image.
enum class DiskFact {
    content, ///< of a file
    label,   ///< of the file system
    uuid,    ///< of the file system
};

/// Something in the image of a volume whose machine is stopped.
struct FileRequest {
    std::string image;   ///< absolute path
    std::string format;  ///< raw, qcow2, vhd, vhdx
    std::string fs_type; ///< ext4, ..., vfat
    std::string path;    ///< in the file system, absolute; symbolic links are followed, inside of it
    DiskFact fact = DiskFact::content;
};

struct FileAnswer {
    std::optional<std::string> content; ///< nothing when it could not be read
    std::string problem;                ///< why not: "no such file", "reading xfs takes libguestfs: apt install ..."
    bool unable = false;                ///< this host has nothing that reads such an image; not the image's fault
    std::string how;                    ///< "libguestfs", "debugfs", "mtools", "blkid"
};

struct DiskOptions {
    bool emulate = false; ///< KVM can't run libguestfs' kernel: TCG
    std::chrono::milliseconds timeout{180'000};
    std::size_t content_limit = std::size_t{256} << 20U; ///< bytes of one file
};

/// Reads images, without root; one answer a request, in their order. The images aren't written to, and what a file
/// system's journal still has to bring in is brought in elsewhere, so that the answer is what the next mount would see.
/// A program of its own does it by libguestfs (guestfs(3)): all images are added before one launch, since 1.48 adds
/// none later; another launch comes only after an image that its kernel died of. Where that program is missing or can't
/// start, raw images are read by debugfs (ext2, ext3, ext4), mtools (vfat) and blkid (labels and UUIDs).
std::vector<FileAnswer> read_from_images(const std::vector<FileRequest>& requests, const DiskOptions& options);

} // namespace microvmc::testkit
