#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// Numbers as files have them. What lies behind the end of the bytes counts as zero.

namespace microvmc {

constexpr std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count && at + i < bytes.size(); ++i) {
        value = value << 8U | static_cast<std::uint8_t>(bytes[at + i]);
    }
    return value;
}

constexpr std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = count; i-- > 0;) {
        const std::uint64_t byte = at + i < bytes.size() ? static_cast<std::uint8_t>(bytes[at + i]) : 0;
        value = value << 8U | byte;
    }
    return value;
}

} // namespace microvmc
