#include "runtime/kernel/elf.h"

#include <cstring>
#include <elf.h>

namespace microvmc {

namespace {

constexpr std::uint32_t xen_elfnote_phys32_entry = 18;

template <typename T> std::optional<T> read_at(std::string_view file, std::uint64_t at) {
    if (at > file.size() || sizeof(T) > file.size() - at) { return std::nullopt; }
    T value;
    std::memcpy(&value, file.data() + at, sizeof value);
    return value;
}

std::uint64_t padded(std::uint64_t size) {
    return (size + 3) & ~std::uint64_t{3};
}

std::optional<std::uint64_t> find_pvh_entry(std::string_view notes) {
    std::uint64_t at = 0;
    while (const auto note = read_at<Elf64_Nhdr>(notes, at)) {
        const std::uint64_t name_at = at + sizeof(Elf64_Nhdr);
        const std::uint64_t value_at = name_at + padded(note->n_namesz);
        const std::uint64_t end = value_at + padded(note->n_descsz);
        if (value_at > notes.size() || note->n_descsz > notes.size() - value_at) { return std::nullopt; }
        const std::string_view name = notes.substr(name_at, note->n_namesz);
        if (note->n_type == xen_elfnote_phys32_entry && name == std::string_view("Xen\0", 4)) {
            if (note->n_descsz == 8) { return read_at<std::uint64_t>(notes, value_at); }
            if (note->n_descsz == 4) { return read_at<std::uint32_t>(notes, value_at); }
        }
        at = end;
    }
    return std::nullopt;
}

std::optional<Elf64_Ehdr> read_header(std::string_view file) {
    const auto header = read_at<Elf64_Ehdr>(file, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
        header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_phentsize != sizeof(Elf64_Phdr)) {
        return std::nullopt;
    }
    return header;
}

std::optional<Elf64_Phdr> read_segment(std::string_view file, const Elf64_Ehdr& header, std::uint64_t index) {
    const auto segment = read_at<Elf64_Phdr>(file, header.e_phoff + index * sizeof(Elf64_Phdr));
    if (!segment || segment->p_offset > file.size() || segment->p_filesz > file.size() - segment->p_offset) {
        return std::nullopt;
    }
    return segment;
}

} // namespace

std::optional<ElfKernel> parse_elf(std::string_view file) {
    const auto header = read_header(file);
    if (!header || header->e_type != ET_EXEC) { return std::nullopt; }
    ElfKernel kernel;
    for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
        const auto segment = read_segment(file, *header, i);
        if (!segment) { return std::nullopt; }
        if (segment->p_type == PT_NOTE && !kernel.pvh_entry) {
            kernel.pvh_entry = find_pvh_entry(file.substr(segment->p_offset, segment->p_filesz));
        }
    }
    return kernel;
}

bool is_static_program(std::string_view file) {
    const auto header = read_header(file);
    if (!header) { return false; }
    for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
        const auto segment = read_segment(file, *header, i);
        if (!segment || segment->p_type == PT_INTERP) { return false; }
    }
    return true;
}

} // namespace microvmc
