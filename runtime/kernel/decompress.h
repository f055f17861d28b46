#pragma once

#include "compiler/facts.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace microvmc {

/// How bytes are compressed, by their magic; `none` when they are an ELF file, `other` when they are nothing known.
Compression sniff_compression(std::string_view bytes);

/// Unpacks one whole stream. `what` names it in errors. Throws Error when it is corrupt, cut off, larger than `limit`
/// bytes unpacked, or of the kind `other`. LZ4 is the legacy frame that the kernel's build makes (lz4_Frame_format.md,
/// "Legacy frame").
std::string decompress(std::string_view bytes, Compression compression, std::size_t limit, const std::string& what);

} // namespace microvmc
