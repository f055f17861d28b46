#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

// The agent's channel: frames both ways over a byte stream (a virtio-serial port, a second serial port, vsock). The
// channel may hold leftovers of an earlier peer and may be shared, so every frame carries a magic and a checksum, and a
// reader that finds neither skips to the next magic. Header-only and free of exceptions: the host and the static init
// share it.
//
// Frame, little-endian: magic u32 | type u8 | zero u8[3] | stream u32 | length u32 | crc32 u32 (of the bytes before it
// and the payload) | payload. Payload fields, where a type has several, are each ended by a NUL (spec.h's rule).

namespace microvmc::wire {

inline constexpr std::uint32_t magic = 0x63'6d'76'6d; // "mvmc"
inline constexpr std::size_t header_size = 20;
inline constexpr std::size_t max_payload = 64 * 1024;
inline constexpr int protocol_version = 1;

enum class Type : std::uint8_t {
    // guest to host
    hello = 1,  ///< VERSION, BOOT_ID: init reached, mounts and addresses done. Sent at start and in answer to `ping`
    ready = 2,  ///< the plan's ready condition holds (all kinds but console and exit)
    end = 3,    ///< KIND (exited, poweroff, reboot), STATUS; reported before it happens
    failed = 4, ///< MESSAGE: the init could not do what the spec says (a volume not found); the machine powers off
    output = 5, ///< stream: bytes of stdout
    error = 6,  ///< stream: bytes of stderr
    exit = 7,   ///< stream: STATUS (128 + N for a signal N); the stream is closed
    // host to guest
    ping = 32,     ///< answered by hello
    shutdown = 33, ///< KIND: poweroff, reboot. Terminates the processes, syncs, unmounts, reports `end`
    exec = 34,     ///< stream: FLAGS ("tty ROWS COLS" or ""), WORKDIR, number of ENV, ENV..., ARG...
    input = 35,    ///< stream: bytes for stdin; none: end of file
    signal = 36,   ///< stream: NUMBER
    resize = 37,   ///< stream: ROWS, COLS
};

struct Frame {
    Type type{};
    std::uint32_t stream = 0;
    std::string payload;
};

inline std::uint32_t crc32(std::string_view bytes, std::uint32_t crc = 0) {
    crc = ~crc;
    for (const char c : bytes) {
        crc ^= static_cast<std::uint8_t>(c);
        for (int bit = 0; bit < 8; ++bit) { crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U); }
    }
    return ~crc;
}

inline void put_u32(std::string& out, std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) { out.push_back(static_cast<char>((value >> shift) & 0xff)); }
}

inline std::uint32_t get_u32(std::string_view bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[at + i])) << (8 * i);
    }
    return value;
}

/// The bytes of one frame; a payload over `max_payload` is the caller's mistake (split it first).
inline std::string encode(Type type, std::uint32_t stream, std::string_view payload) {
    std::string out;
    out.reserve(header_size + payload.size());
    put_u32(out, magic);
    out.push_back(static_cast<char>(type));
    out.append(3, '\0');
    put_u32(out, stream);
    put_u32(out, static_cast<std::uint32_t>(payload.size()));
    put_u32(out, crc32(payload, crc32(out)));
    out.append(payload);
    return out;
}

/// Takes bytes as they come and gives whole frames; what is not a frame is skipped and counted.
class Decoder {
public:
    void feed(std::string_view bytes) { buffer_.append(bytes); }

    std::optional<Frame> next() {
        for (;;) {
            const std::size_t start = find_magic();
            skipped_ += start;
            buffer_.erase(0, start);
            if (buffer_.size() < header_size) { return std::nullopt; }
            const std::size_t length = get_u32(buffer_, 12);
            if (length > max_payload) {
                drop_magic();
                continue;
            }
            if (buffer_.size() < header_size + length) { return std::nullopt; }
            const std::string_view payload = std::string_view(buffer_).substr(header_size, length);
            if (crc32(payload, crc32(std::string_view(buffer_).substr(0, 16))) != get_u32(buffer_, 16)) {
                drop_magic();
                continue;
            }
            Frame frame{static_cast<Type>(buffer_[4]), get_u32(buffer_, 8), std::string(payload)};
            buffer_.erase(0, header_size + length);
            return frame;
        }
    }

    [[nodiscard]] std::size_t skipped() const { return skipped_; }

private:
    // Position of the first magic, or of what may be its beginning at the buffer's end.
    [[nodiscard]] std::size_t find_magic() const {
        constexpr std::string_view wanted = "mvmc";
        std::size_t at = 0;
        while (at < buffer_.size() && wanted.compare(0, std::min<std::size_t>(4, buffer_.size() - at),
                                                     std::string_view(buffer_).substr(at, 4)) != 0) {
            ++at;
        }
        return at;
    }
    void drop_magic() {
        buffer_.erase(0, 1);
        ++skipped_;
    }

    std::string buffer_;
    std::size_t skipped_ = 0;
};

} // namespace microvmc::wire
