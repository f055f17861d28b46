#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace microvmc {

/// A member of an initramfs. Its owner is root and its time 0, so that the same content makes the same archive.
struct CpioEntry {
    enum class Kind { directory, file, symlink, character_device } kind = Kind::file;
    std::string path; ///< without a leading slash; a directory comes before what is in it
    std::uint32_t mode = 0644;
    std::string content; ///< of a file; a symlink's target
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
};

/// The entries as newc archive (Linux, Documentation/driver-api/early-userspace/buffer-format.rst), in their order.
/// Without the trailer it is the beginning of an archive that another one, with it, is appended to.
std::string cpio_archive(const std::vector<CpioEntry>& entries, bool with_trailer);

} // namespace microvmc
