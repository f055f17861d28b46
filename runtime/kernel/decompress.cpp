#include "runtime/kernel/decompress.h"

#include "runtime/byte_order.h"
#include "runtime/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <lz4.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

namespace microvmc {

namespace {

using namespace std::string_view_literals;

struct Magic {
    std::string_view bytes;
    Compression compression;
};

// Linux: lib/decompress.c has the first two bytes of each; the rest is from each format's description.
constexpr std::array magics{
    Magic{"\x7f"
          "ELF"sv,
          Compression::none},
    Magic{"\x1f\x8b"sv, Compression::gzip},
    Magic{"\xfd"
          "7zXZ\0"sv,
          Compression::xz},
    Magic{"\x28\xb5\x2f\xfd"sv, Compression::zstd},
    Magic{"\x02\x21\x4c\x18"sv, Compression::lz4_legacy},
};

constexpr std::size_t lz4_legacy_block = std::size_t{8} << 20U;

[[noreturn]] void fail(const std::string& what, std::string_view why) {
    throw Error(fmt::format("can't unpack {}: {}", what, why));
}

void check_size(std::size_t size, std::size_t limit, const std::string& what) {
    if (size > limit) { fail(what, fmt::format("more than {} MiB unpacked", limit >> 20U)); }
}

std::string unpack_lz4_legacy(std::string_view bytes, std::size_t limit, const std::string& what) {
    std::string out;
    bytes.remove_prefix(4);
    while (!bytes.empty()) {
        if (bytes.size() < 4) { fail(what, "cut off"); }
        const std::size_t length = little_endian(bytes, 0, 4);
        bytes.remove_prefix(4);
        if (length > bytes.size()) { fail(what, "cut off"); }
        const std::size_t before = out.size();
        out.resize(before + lz4_legacy_block);
        const int got = LZ4_decompress_safe(bytes.data(), out.data() + before, static_cast<int>(length),
                                            static_cast<int>(lz4_legacy_block));
        if (got < 0) { fail(what, "corrupt LZ4 block"); }
        out.resize(before + static_cast<std::size_t>(got));
        check_size(out.size(), limit, what);
        bytes.remove_prefix(length);
    }
    return out;
}

using Reader = std::unique_ptr<archive, int (*)(archive*)>;

std::string unpack_by_libarchive(std::string_view bytes, int (*support)(archive*), std::size_t limit,
                                 const std::string& what) {
    const Reader reader(archive_read_new(), archive_read_free);
    archive* const raw = reader.get();
    const auto check = [&](la_ssize_t result) {
        if (result < ARCHIVE_OK) {
            const char* why = archive_error_string(raw);
            fail(what, why == nullptr ? "corrupt" : why);
        }
    };
    // ARCHIVE_WARN: the filter would run an outside program; none of ours needs one where libarchive is whole.
    check(support(raw));
    check(archive_read_support_format_raw(raw));
    check(archive_read_open_memory(raw, bytes.data(), bytes.size()));
    archive_entry* entry = nullptr;
    if (archive_read_next_header(raw, &entry) != ARCHIVE_OK) {
        const char* why = archive_error_string(raw);
        fail(what, why == nullptr ? "cut off" : why);
    }

    std::string out;
    out.resize(std::min(limit, bytes.size() * 4) + 65536);
    std::size_t length = 0;
    for (;;) {
        if (length == out.size()) { out.resize(out.size() * 2); }
        const la_ssize_t got = archive_read_data(raw, out.data() + length, out.size() - length);
        check(got);
        if (got == 0) { break; }
        length += static_cast<std::size_t>(got);
        check_size(length, limit, what);
    }
    out.resize(length);
    return out;
}

} // namespace

Compression sniff_compression(std::string_view bytes) {
    const auto* const known =
        std::ranges::find_if(magics, [bytes](const Magic& magic) { return bytes.starts_with(magic.bytes); });
    return known == magics.end() ? Compression::other : known->compression;
}

std::string decompress(std::string_view bytes, Compression compression, std::size_t limit, const std::string& what) {
    if (compression != Compression::none && sniff_compression(bytes) != compression) { fail(what, "cut off"); }
    switch (compression) {
    case Compression::none: check_size(bytes.size(), limit, what); return std::string(bytes);
    case Compression::gzip: return unpack_by_libarchive(bytes, archive_read_support_filter_gzip, limit, what);
    case Compression::xz: return unpack_by_libarchive(bytes, archive_read_support_filter_xz, limit, what);
    case Compression::zstd: return unpack_by_libarchive(bytes, archive_read_support_filter_zstd, limit, what);
    case Compression::lz4_legacy: return unpack_lz4_legacy(bytes, limit, what);
    case Compression::other: break;
    }
    fail(what, "compressed in a way that isn't known here (gzip, xz, zstd and LZ4 are)");
}

} // namespace microvmc
