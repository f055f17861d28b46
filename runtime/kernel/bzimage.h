#pragma once

#include "compiler/facts.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The x86 boot protocol; Linux, Documentation/arch/x86/boot.rst.

namespace microvmc {

/// What a bzImage's boot header says. Offsets are from the start of the file, in bytes.
struct BootHeader {
    std::uint16_t protocol = 0;       ///< 0x20f is 2.15
    std::string release;              ///< "6.1.0-56-amd64"; empty when it has none
    std::uint64_t payload_offset = 0; ///< 0 before protocol 2.08
    std::uint64_t payload_length = 0;
};

/// At most this much of a file's start is needed to read its header and release.
inline constexpr std::size_t boot_header_reach = 0x10000 + 0x200 + 512;

/// Nothing when it isn't a bzImage. `start`: the file's first `boot_header_reach` bytes, or all of a shorter one.
std::optional<BootHeader> parse_boot_header(std::string_view start);

/// Unpacks the ELF vmlinux that is a bzImage's payload. `what` names it in errors. Throws Error when it isn't a
/// bzImage, is cut off, is compressed in a way that isn't known, or its payload isn't an ELF file of the size that it
/// says.
std::string extract_vmlinux(std::string_view image, const std::string& what);

/// The facts of a kernel file, but its modules directory. An image that can't be read or isn't a kernel is so in the
/// facts.
KernelFacts inspect_kernel(const std::string& path);

} // namespace microvmc
