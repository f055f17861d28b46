#include "tests/host/archives.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

namespace microvmc {

namespace {

constexpr std::size_t block = 512;

void put_octal(std::string& header, std::size_t at, std::size_t size, std::uint64_t value) {
    if (value >> (3 * (size - 1)) != 0) { // GNU: binary, the first bit set
        header[at] = '\x80';
        for (std::size_t i = 0; i < 8; ++i) { header[at + size - 1 - i] = static_cast<char>(value >> 8 * i); }
        return;
    }
    for (std::size_t i = 0; i + 1 < size; ++i) {
        header[at + size - 2 - i] = static_cast<char>('0' + (value >> 3 * i & 7));
    }
}

void put_text(std::string& header, std::size_t at, std::size_t size, std::string_view text) {
    std::ranges::copy(text.substr(0, size), header.begin() + static_cast<std::ptrdiff_t>(at));
}

void put_checksum(std::string& header) {
    put_text(header, 148, 8, "        ");
    const unsigned sum = std::accumulate(header.begin(), header.end(), 0U, [](unsigned before, char c) {
        return before + static_cast<unsigned char>(c);
    });
    put_octal(header, 148, 7, sum);
    header[154] = '\0';
}

std::string header_of(const TarEntry& entry) {
    std::string header(block, '\0');
    put_text(header, 0, 100, entry.name);
    put_octal(header, 100, 8, entry.mode);
    put_octal(header, 108, 8, entry.uid);
    put_octal(header, 116, 8, entry.gid);
    put_octal(
        header, 124, 12,
        static_cast<std::uint64_t>(entry.size >= 0 ? entry.size : static_cast<std::int64_t>(entry.content.size())));
    put_octal(header, 136, 12, static_cast<std::uint64_t>(entry.mtime));
    header[156] = entry.type;
    put_text(header, 157, 100, entry.link);
    put_text(header, 257, 8, "ustar  "); // GNU's
    put_octal(header, 329, 8, entry.major);
    put_octal(header, 337, 8, entry.minor);
    return header;
}

std::string padded(std::string text) {
    text.resize((text.size() + block - 1) / block * block);
    return text;
}

std::string long_text(char type, const std::string& text) {
    return tar_entry({.name = "././@LongLink", .type = type, .content = text + '\0'});
}

} // namespace

std::string tar_entry(const TarEntry& entry) {
    std::string out;
    if (entry.name.size() > 100) { out += long_text('L', entry.name); }
    if (entry.link.size() > 100) { out += long_text('K', entry.link); }
    std::string header = header_of(entry);
    put_checksum(header);
    return out + header + padded(entry.content);
}

std::string tar_end() {
    return std::string(2 * block, '\0');
}

std::string tar_hole(const std::string& name, std::uint64_t size) {
    std::string header = header_of({.name = name, .type = 'S'});
    put_octal(header, 386, 12, size); // one piece of data, without bytes, at its end
    put_octal(header, 398, 12, 0);
    put_octal(header, 483, 12, size);
    put_checksum(header);
    return header;
}

} // namespace microvmc
