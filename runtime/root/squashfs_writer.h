#pragma once

#include "runtime/root/image_writer.h"

#include <cstdint>
#include <memory>

namespace microvmc {

/// Writes a squashfs image, compressed by zstd, to `fd`, which is empty; `limit` is how many bytes the files in it may
/// have. What squashfs can't say is left out: fractions of seconds, ACLs.
std::unique_ptr<ImageWriter> make_squashfs_writer(int fd, std::uint64_t limit);

} // namespace microvmc
