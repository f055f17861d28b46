#pragma once

#include "runtime/root/root_builder.h"

#include <cstdint>
#include <functional>
#include <string>

namespace microvmc {

/// Told how many bytes of the source were read.
using BytesRead = std::function<void(std::uint64_t)>;

/// Reads a tar archive, compressed or not (gzip, bzip2, xz, zstd, lz4), as its bytes are, whatever its name. Owners are
/// the archive's numbers. Throws Error for one that is cut off or damaged, and for entries that RootBuilder refuses.
void read_tar(int fd, RootBuilder& root, const BytesRead& progress);

} // namespace microvmc
