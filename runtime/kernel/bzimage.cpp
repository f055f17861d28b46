#include "runtime/kernel/bzimage.h"

#include "runtime/byte_order.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/kernel/decompress.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

namespace microvmc {

namespace {

// Offsets into the file, from boot.rst, "The Real-Mode Kernel Header".
constexpr std::size_t at_setup_sects = 0x1f1;
constexpr std::size_t at_boot_flag = 0x1fe;
constexpr std::size_t at_header = 0x202;
constexpr std::size_t at_version = 0x206;
constexpr std::size_t at_kernel_version = 0x20e;
constexpr std::size_t at_payload_offset = 0x248;
constexpr std::size_t at_payload_length = 0x24c;
constexpr std::size_t header_end = 0x250;

constexpr std::size_t vmlinux_limit = std::size_t{1} << 30U;

std::string read_at(int fd, std::size_t size, std::uint64_t offset) {
    std::string bytes(size, '\0');
    std::size_t length = 0;
    while (length < size) {
        const ssize_t got = ::pread(fd, bytes.data() + length, size - length, static_cast<off_t>(offset + length));
        if (got < 0 && errno == EINTR) { continue; }
        if (got <= 0) { break; }
        length += static_cast<std::size_t>(got);
    }
    bytes.resize(length);
    return bytes;
}

} // namespace

std::optional<BootHeader> parse_boot_header(std::string_view start) {
    if (start.size() < header_end || little_endian(start, at_boot_flag, 2) != 0xaa55 ||
        start.substr(at_header, 4) != "HdrS") {
        return std::nullopt;
    }
    BootHeader header;
    header.protocol = static_cast<std::uint16_t>(little_endian(start, at_version, 2));
    if (const std::uint64_t pointer = little_endian(start, at_kernel_version, 2);
        pointer != 0 && pointer + 0x200 < start.size()) {
        // "6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP ...", ended by a NUL
        const std::string_view text = start.substr(pointer + 0x200, 512);
        const std::string_view release = text.substr(0, text.find_first_of(std::string_view(" \0", 2)));
        const bool plain =
            release.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+~") ==
            std::string_view::npos;
        if (plain && release.size() < 65 && release.find("..") == std::string_view::npos) { header.release = release; }
    }
    if (header.protocol >= 0x208) {
        std::uint64_t sectors = little_endian(start, at_setup_sects, 1);
        if (sectors == 0) { sectors = 4; }
        header.payload_offset = (sectors + 1) * 512 + little_endian(start, at_payload_offset, 4);
        header.payload_length = little_endian(start, at_payload_length, 4);
    }
    return header;
}

std::string extract_vmlinux(std::string_view image, const std::string& what) {
    const auto header = parse_boot_header(image.substr(0, boot_header_reach));
    if (!header) { throw Error(fmt::format("{} is not a bzImage", what)); }
    if (header->payload_offset == 0) { throw Error(fmt::format("{} is too old to say where its payload is", what)); }
    if (header->payload_offset > image.size() || header->payload_length > image.size() - header->payload_offset) {
        throw Error(fmt::format("{} is cut off: its payload ends after the file does", what));
    }
    const std::string_view payload = image.substr(header->payload_offset, header->payload_length);
    const Compression compression = sniff_compression(payload);

    // The last four bytes are the size that it has unpacked: gzip's own trailer, appended by the kernel's build to
    // all others (scripts/Makefile.lib, size_append).
    std::string_view stream = payload;
    if (compression != Compression::none) {
        if (payload.size() < 8) { throw Error(fmt::format("{} is cut off: its payload is empty", what)); }
        if (compression != Compression::gzip) { stream.remove_suffix(4); }
    }
    std::string vmlinux = decompress(stream, compression, vmlinux_limit, "the payload of " + what);
    if (compression != Compression::none && little_endian(payload, payload.size() - 4, 4) != vmlinux.size()) {
        throw Error(fmt::format("the payload of {} is corrupt: {} bytes unpacked, not the {} that it says", what,
                                vmlinux.size(), little_endian(payload, payload.size() - 4, 4)));
    }
    if (!vmlinux.starts_with("\x7f"
                             "ELF")) {
        throw Error(fmt::format("the payload of {} is not an ELF file", what));
    }
    return vmlinux;
}

KernelFacts inspect_kernel(const std::string& path) {
    KernelFacts facts;
    facts.path = path;
    facts.readable = false;
    if (const auto identity = file_identity(path)) { facts.identity = *identity; }
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) { return facts; }
    facts.readable = true;
    const std::string start = read_at(fd.get(), boot_header_reach, 0);
    if (start.starts_with("\x7f"
                          "ELF")) {
        facts.image = KernelImage::elf;
    } else if (const auto header = parse_boot_header(start)) {
        facts.image = KernelImage::bzimage;
        facts.release = header->release;
        facts.compression = header->payload_offset == 0 || header->payload_length == 0
                                ? Compression::other
                                : sniff_compression(read_at(fd.get(), 8, header->payload_offset));
    }
    return facts;
}

} // namespace microvmc
