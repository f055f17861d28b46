#pragma once

#include "compiler/facts.h"

#include <string>
#include <string_view>

namespace microvmc {

/// The bytes compressed as the kernel's build does it, without the size behind.
std::string compressed(std::string_view bytes, Compression compression);

/// A small ELF64 file with a PVH note whose entry is 0x1000000, and `size` bytes that compress well.
std::string small_vmlinux(std::size_t size = 200'000);

/// A bzImage of boot protocol 2.15 with this payload, the unpacked size appended as is done for all but gzip.
std::string bzimage(std::string_view vmlinux, Compression compression, const std::string& release = "6.1.0-9-test");

} // namespace microvmc
