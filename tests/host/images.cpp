#include "tests/host/images.h"

#include <archive.h>
#include <archive_entry.h>
#include <lz4.h>

#include <cstring>
#include <elf.h>
#include <stdexcept>
#include <vector>

namespace microvmc {

namespace {

void put(std::string& out, std::size_t at, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) { out[at + i] = static_cast<char>(value >> (8 * i) & 0xff); }
}

void append_u32(std::string& out, std::uint64_t value) {
    out.resize(out.size() + 4);
    put(out, out.size() - 4, value, 4);
}

std::string by_libarchive(std::string_view bytes, int (*add_filter)(archive*)) {
    std::vector<char> buffer(bytes.size() * 2 + 65536);
    std::size_t used = 0;
    archive* writer = archive_write_new();
    archive_write_set_format_raw(writer);
    archive_write_set_bytes_per_block(writer, 0);
    add_filter(writer);
    if (archive_write_open_memory(writer, buffer.data(), buffer.size(), &used) != ARCHIVE_OK) {
        throw std::runtime_error(archive_error_string(writer));
    }
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, "data");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(writer, entry);
    archive_write_data(writer, bytes.data(), bytes.size());
    archive_entry_free(entry);
    archive_write_close(writer);
    archive_write_free(writer);
    return {buffer.data(), used};
}

std::string by_lz4_legacy(std::string_view bytes) {
    constexpr std::size_t block = std::size_t{8} << 20U;
    std::string out("\x02\x21\x4c\x18", 4);
    for (std::size_t at = 0; at < bytes.size(); at += block) {
        const std::string_view part = bytes.substr(at, block);
        std::string packed(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(part.size()))), '\0');
        const int size = LZ4_compress_default(part.data(), packed.data(), static_cast<int>(part.size()),
                                              static_cast<int>(packed.size()));
        append_u32(out, static_cast<std::uint64_t>(size));
        out.append(packed, 0, static_cast<std::size_t>(size));
    }
    return out;
}

} // namespace

std::string compressed(std::string_view bytes, Compression compression) {
    switch (compression) {
    case Compression::none: return std::string(bytes);
    case Compression::gzip: return by_libarchive(bytes, archive_write_add_filter_gzip);
    case Compression::xz: return by_libarchive(bytes, archive_write_add_filter_xz);
    case Compression::zstd: return by_libarchive(bytes, archive_write_add_filter_zstd);
    case Compression::lz4_legacy: return by_lz4_legacy(bytes);
    case Compression::other: return "BZh9" + std::string(bytes.substr(0, 100));
    }
    return {};
}

std::string small_vmlinux(std::size_t size) {
    constexpr std::size_t notes_at = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
    // Another note first, of a name that needs padding.
    std::string notes;
    append_u32(notes, 6);
    append_u32(notes, 1);
    append_u32(notes, 1);
    notes += std::string("Linux\0\0\0x\0\0\0", 12);
    append_u32(notes, 4);
    append_u32(notes, 8);
    append_u32(notes, 18);
    notes += std::string("Xen\0", 4);
    append_u32(notes, 0x1000000);
    append_u32(notes, 0);

    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_phoff = sizeof(Elf64_Ehdr);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 1;
    Elf64_Phdr segment{};
    segment.p_type = PT_NOTE;
    segment.p_offset = notes_at;
    segment.p_filesz = notes.size();
    std::string file(notes_at, '\0');
    std::memcpy(file.data(), &header, sizeof header);
    std::memcpy(file.data() + sizeof header, &segment, sizeof segment);
    file += notes;
    for (std::size_t i = 0; i < size; ++i) { file.push_back(static_cast<char>((i * i) >> 9U)); }
    return file;
}

std::string bzimage(std::string_view vmlinux, Compression compression, const std::string& release) {
    std::string payload = compressed(vmlinux, compression);
    if (compression != Compression::gzip && compression != Compression::none) { append_u32(payload, vmlinux.size()); }
    constexpr std::size_t setup_sectors = 7;
    constexpr std::size_t payload_offset = 0x180;
    std::string image((setup_sectors + 1) * 512 + payload_offset, '\0');
    put(image, 0x1f1, setup_sectors, 1);
    put(image, 0x1fe, 0xaa55, 2);
    image.replace(0x202, 4, "HdrS");
    put(image, 0x206, 0x20f, 2);
    put(image, 0x20e, 0x800, 2);
    put(image, 0x248, payload_offset, 4);
    put(image, 0x24c, payload.size(), 4);
    const std::string version = release + " (builder@example.org) #1 SMP";
    image.replace(0xa00, version.size(), version);
    return image + payload + std::string(64, '\0');
}

} // namespace microvmc
