#pragma once

#include "compiler/facts.h"

#include <cstdint>
#include <optional>
#include <string>

namespace microvmc {

/// What the beginning of a disk image says of it (VHD of fixed size: its end); nothing for what is none of qcow2, VHD
/// and VHDX, and for what is cut off. Only for an image that is said to be of that format: a raw one begins with what
/// its guest wrote there. Never throws.
///
/// qcow2: docs/interop/qcow2.txt of QEMU; VHD: Virtual Hard Disk Image Format Specification; VHDX: [MS-VHDX].
std::optional<ImageFacts> read_image_header(int fd);
std::optional<ImageFacts> read_image_header(const std::string& path);

/// What a guest sees of an image of this format, in bytes; nothing when it can't be told.
std::optional<std::uint64_t> virtual_size(const std::string& path, const std::string& format);

} // namespace microvmc
