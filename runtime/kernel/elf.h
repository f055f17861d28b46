#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace microvmc {

/// What matters of a kernel as ELF file.
struct ElfKernel {
    /// Physical address of the PVH entry, from the note "Xen" of type XEN_ELFNOTE_PHYS32_ENTRY (18; Xen,
    /// xen/include/public/elfnote.h); nothing: it can't be booted by PVH.
    std::optional<std::uint64_t> pvh_entry;
};

/// Nothing when it isn't a little-endian ELF64 executable, or its program headers lie outside the file; elf(5).
std::optional<ElfKernel> parse_elf(std::string_view file);

/// Whether a program runs without a dynamic loader: an ELF64 file without PT_INTERP. False when it is no ELF64 file.
bool is_static_program(std::string_view file);

} // namespace microvmc
