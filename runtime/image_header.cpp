#include "runtime/image_header.h"

#include "runtime/byte_order.h"
#include "runtime/fd.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string_view>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

/// Bytes of a file, as far as there are any.
std::string bytes_at(int fd, std::uint64_t offset, std::size_t count) {
    std::string bytes(count, '\0');
    const ssize_t got = offset > INT64_MAX ? -1 : ::pread(fd, bytes.data(), count, static_cast<off_t>(offset));
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
}

std::optional<ImageFacts> read_qcow2(int fd) {
    constexpr std::size_t header_bytes = 104; // of version 3
    const std::string header = bytes_at(fd, 0, header_bytes);
    const std::uint64_t version = big_endian(header, 4, 4);
    if (header.size() < header_bytes || (version != 2 && version != 3)) { return std::nullopt; }
    ImageFacts facts{.format = "qcow2", .size = big_endian(header, 24, 8), .backing = {}, .backing_format = {}};
    const std::uint64_t name_at = big_endian(header, 8, 8);
    const std::size_t name_bytes = big_endian(header, 16, 4);
    constexpr std::size_t most_name_bytes = 1023;
    if (name_at == 0) { return facts; }
    facts.backing = bytes_at(fd, name_at, std::min(name_bytes, most_name_bytes));

    constexpr std::uint64_t backing_format = 0xE279'2ACA;
    constexpr int most_extensions = 64;
    std::uint64_t at = version == 2 ? 72 : big_endian(header, 100, 4);
    for (int i = 0; i < most_extensions; ++i) {
        const std::string extension = bytes_at(fd, at, 8);
        const std::uint64_t type = big_endian(extension, 0, 4);
        const std::uint64_t length = big_endian(extension, 4, 4);
        if (extension.size() < 8 || type == 0) { break; }
        if (type == backing_format) { facts.backing_format = bytes_at(fd, at + 8, std::min<std::size_t>(length, 15)); }
        at += 8 + (length + 7) / 8 * 8;
    }
    return facts;
}

std::optional<ImageFacts> read_vhd_footer(std::string_view footer) {
    if (footer.size() < 512) { return std::nullopt; }
    ImageFacts facts{.format = "vhd", .size = big_endian(footer, 48, 8), .backing = {}, .backing_format = {}};
    // Those of Virtual PC, and of QEMU unless told otherwise, have the size of their geometry (qemu: block/vpc.c).
    const std::string_view creator = footer.substr(28, 4);
    if (creator == "vpc " || creator == "qemu") {
        facts.size = big_endian(footer, 56, 2) * big_endian(footer, 58, 1) * big_endian(footer, 59, 1) * 512;
    }
    return facts;
}

/// The `data offset, length` of the entry with this GUID in a table of 32-byte entries that begins at `first`.
std::uint64_t vhdx_entry(std::string_view table, std::size_t first, std::size_t count, std::string_view guid) {
    constexpr std::size_t most_entries = 2047;
    for (std::size_t i = 0; i < std::min(count, most_entries); ++i) {
        const std::size_t at = first + i * 32;
        if (table.size() < at + 32) { return 0; }
        if (table.substr(at, 16) == guid) { return at; }
    }
    return 0;
}

std::optional<ImageFacts> read_vhdx(int fd) {
    using namespace std::string_view_literals;
    // 8B7CA206-4790-4B9A-B8FE-575F050F886E, 2FA54224-CD1B-4876-B211-5DBED83BF4B8, as they lie in the file
    constexpr auto metadata = "\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e"sv;
    constexpr auto disk_size = "\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8"sv;
    constexpr std::size_t table_bytes = 65536;
    constexpr std::uint64_t region_table = std::uint64_t{192} << 10U;
    const std::string regions = bytes_at(fd, region_table, table_bytes);
    if (!regions.starts_with("regi")) { return std::nullopt; }
    const std::size_t region = vhdx_entry(regions, 16, little_endian(regions, 8, 4), metadata);
    if (region == 0) { return std::nullopt; }
    const std::uint64_t start = little_endian(regions, region + 16, 8);
    const std::string items = bytes_at(fd, start, table_bytes);
    if (!items.starts_with("metadata")) { return std::nullopt; }
    const std::size_t item = vhdx_entry(items, 32, little_endian(items, 10, 2), disk_size);
    if (item == 0) { return std::nullopt; }
    const std::string size = bytes_at(fd, start + little_endian(items, item + 16, 4), 8);
    if (size.size() < 8) { return std::nullopt; }
    return ImageFacts{.format = "vhdx", .size = little_endian(size, 0, 8), .backing = {}, .backing_format = {}};
}

} // namespace

std::optional<ImageFacts> read_image_header(int fd) {
    const std::string magic = bytes_at(fd, 0, 8);
    if (magic.starts_with("QFI\xfb")) { return read_qcow2(fd); }
    if (magic == "vhdxfile") { return read_vhdx(fd); }
    if (magic == "conectix") { return read_vhd_footer(bytes_at(fd, 0, 512)); }
    struct stat status {};
    if (::fstat(fd, &status) != 0 || status.st_size < 512) { return std::nullopt; }
    const std::string footer = bytes_at(fd, static_cast<std::uint64_t>(status.st_size) - 512, 512);
    return footer.starts_with("conectix") ? read_vhd_footer(footer) : std::nullopt;
}

std::optional<ImageFacts> read_image_header(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    return fd ? read_image_header(fd.get()) : std::nullopt;
}

std::optional<std::uint64_t> virtual_size(const std::string& path, const std::string& format) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) { return std::nullopt; }
    if (format != "raw") {
        const std::optional<ImageFacts> facts = read_image_header(fd.get());
        return facts && facts->format == format ? std::optional(facts->size) : std::nullopt;
    }
    std::uint64_t size = 0;
    if (S_ISBLK(status.st_mode)) {
        return ::ioctl(fd.get(), BLKGETSIZE64, &size) == 0 ? std::optional(size) : std::nullopt;
    }
    return static_cast<std::uint64_t>(status.st_size);
}

} // namespace microvmc
