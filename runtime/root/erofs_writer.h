#pragma once

#include "runtime/root/image_writer.h"

#include <array>
#include <cstdint>
#include <memory>

namespace microvmc {

/// Writes an EROFS image, uncompressed, to `fd`, which is empty and can be written anywhere; `limit` is how many bytes
/// it may have. Any Linux since 5.4 mounts it.
std::unique_ptr<ImageWriter> make_erofs_writer(int fd, std::uint64_t limit, const std::array<std::uint8_t, 16>& uuid);

} // namespace microvmc
