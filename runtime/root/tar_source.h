#pragma once

#include "runtime/root/root_builder.h"

#include <cstdint>
#include <functional>
#include <string>

namespace microvmc {

/// Told how many bytes of the source were read.
using BytesRead = std::function<void(std::uint64_t)>;

/// A part of an open file.
struct FilePart {
    int fd = -1;
    std::uint64_t offset = 0;
    std::uint64_t size = 0; ///< bytes
};

/// How an archive is one of several, each over those before.
enum class Layered {
    no,
    oci, ///< `.wh.NAME` removes NAME, `.wh..wh..opq` what is in its directory (OCI image-spec, layer.md, "Whiteouts")
};

/// Reads a tar archive, compressed or not (gzip, bzip2, xz, zstd, lz4), as its bytes are, whatever its name. Owners are
/// the archive's numbers. Throws Error for one that is cut off or damaged, and for entries that RootBuilder refuses.
void read_tar(const FilePart& archive, Layered layered, RootBuilder& root, const BytesRead& progress);

} // namespace microvmc
