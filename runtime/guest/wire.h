#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The agent's channel: frames both ways over a byte stream (a virtio-serial port, a second serial port, vsock). The
// channel may hold leftovers of an earlier peer and may be shared, so every frame carries a magic and a checksum, and a
// reader that finds neither skips to the next magic. Header-only and free of exceptions: the host and the static init
// share it.
//
// Frame, little-endian: magic u32 | type u8 | zero u8[3] | stream u32 | length u32 | crc32 u32 (of the bytes before it
// and the payload) | payload. Payload fields, where a type has several, are each ended by a NUL (spec.h's rule); a
// single field stands alone. Readers take both (`split_fields`).
//
// Neither side may be held up by one slow stream, and nothing is lost: the guest reads a process's output only while
// the channel takes it, and the host keeps at most `input_window` bytes of a stream's input unconfirmed (`taken`
// confirms them). When a host sends more, the guest stops reading the channel until the process has read, for all
// streams. The other way, an `exec` may name a window: the guest sends at most so many bytes of the stream's `output`
// and `error` frames, headers included (`frame_size`), and then leaves the rest in the process until the host grants
// more (`grant`). So a host whose client takes nothing has no more than the window to keep, and goes on reading the
// channel for the others.
//
// Versions: 1 had neither a window nor `grant`. A host names a window only to a guest whose `hello` says 2 or more; a
// guest whose host names none is not bound, so that either may be the older one. 3 brought `renew`, which an older
// guest doesn't answer, 4 `want` and `credential`: a guest wants only what its spec names, which its host has.

namespace microvmc::wire {

inline constexpr std::uint32_t magic = 0x63'6d'76'6d; // "mvmc"
inline constexpr std::size_t header_size = 20;
inline constexpr std::size_t max_payload = 65'536;
inline constexpr std::size_t input_window = 262'144;
inline constexpr std::size_t output_window = 131'072; ///< that our host names
inline constexpr int frame_gap_ms = 500;              ///< silence inside a frame, after which its sender counts as gone
inline constexpr int protocol_version = 4;
inline constexpr int window_version = 2; ///< the first with a window for output
inline constexpr int renew_version = 3;  ///< the first that knows `renew`

enum class Type : std::uint8_t {
    // guest to host
    hello = 1,   ///< VERSION, BOOT_ID: init reached, mounts and addresses done. Sent at start and in answer to `ping`
    ready = 2,   ///< the plan's ready condition holds (all kinds but console and exit)
    end = 3,     ///< KIND (exited, poweroff, reboot), STATUS (0 but for exited); reported before it happens
    failed = 4,  ///< MESSAGE: the init could not do what the spec says (a volume not found); the machine powers off
    output = 5,  ///< stream: bytes of stdout
    error = 6,   ///< stream: bytes of stderr
    exit = 7,    ///< stream: STATUS (128 + N for a signal N; 126, 127: could not be run); the stream is closed
    taken = 8,   ///< stream: COUNT: bytes of `input` that stdin has taken since the last `taken` (or dropped: closed)
    renewed = 9, ///< MESSAGE: what of `renew` could not be done; empty: all was
    want = 10,   ///< NAME: the credential is awaited before anything is started; before `hello`
    // host to guest
    ping = 32,     ///< answered by hello, and by ready when that holds
    shutdown = 33, ///< KIND: poweroff, reboot; GRACE: ms between SIGTERM and SIGKILL, may be left out (2000).
                   ///< Terminates the processes, reports `end`, syncs, unmounts, ends
    exec = 34,     ///< stream (not in use): FLAGS (words: "tty ROWS COLS", "window BYTES", both or none), WORKDIR,
                   ///< number of ENV, ENV..., ARG...
    input = 35,    ///< stream: bytes for stdin; none: end of file
    signal = 36,   ///< stream: NUMBER, to the process's group
    resize = 37,   ///< stream: ROWS, COLS
    close = 38,    ///< stream: nobody listens any more: SIGHUP to the process's group, its output is discarded, no exit
    grant = 39,    ///< stream: BYTES more of output and error, up to the window
    renew = 40,    ///< KIND, TIME, SEED: the machine stood still. KIND resumed: it goes on; restored: it goes on from a
                   ///< saved state, maybe not for the first time, and nobody listens to its streams any more (as by
                   ///< `close`). TIME (nanoseconds since 1970) becomes the clock's, SEED (hexadecimal) is random bytes
                   ///< that no other machine was given. Answered by `renewed`
    credential =
        41, ///< NAME, OFFSET, SIZE of the whole, then a NUL and the bytes from OFFSET on: answers `want`. An empty
            ///< SIZE: there is none of this name
};

/// What a frame takes of a window.
constexpr std::size_t frame_size(std::size_t payload) {
    return header_size + payload;
}

struct Frame {
    Type type{};
    std::uint32_t stream = 0;
    std::string payload;
};

namespace detail {
constexpr std::array<std::uint32_t, 256> crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) { crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U); }
        table[i] = crc;
    }
    return table;
}
} // namespace detail

/// CRC-32 as zlib and Ethernet compute it (IEEE 802.3). `crc`: of the bytes before.
inline std::uint32_t crc32(std::string_view bytes, std::uint32_t crc = 0) {
    static constexpr auto table = detail::crc_table();
    crc = ~crc;
    for (const char c : bytes) { crc = (crc >> 8) ^ table[(crc ^ static_cast<std::uint8_t>(c)) & 0xffU]; }
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

/// Fields, each ended by a NUL. A NUL inside one would end it early: the caller has none.
inline std::string join_fields(const std::vector<std::string>& fields) {
    std::string out;
    for (const auto& field : fields) { out.append(field).push_back('\0'); }
    return out;
}

/// The fields of a payload; the last one's NUL may be missing.
inline std::vector<std::string_view> split_fields(std::string_view payload) {
    std::vector<std::string_view> fields;
    while (!payload.empty()) {
        const std::size_t end = std::min(payload.find('\0'), payload.size());
        fields.push_back(payload.substr(0, end));
        payload.remove_prefix(std::min(end + 1, payload.size()));
    }
    return fields;
}

/// A decimal number, whole and in range, or nothing.
template <typename Number> std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) { return std::nullopt; }
    return value;
}

/// The payload of `exec`.
struct Exec {
    bool tty = false;
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
    std::uint32_t window = 0;      ///< 0: none
    std::string workdir;           ///< empty: "/"
    std::vector<std::string> env;  ///< NAME=VALUE, above the guest's own
    std::vector<std::string> argv; ///< the program is searched for on PATH

    friend bool operator==(const Exec&, const Exec&) = default;
};

inline std::string encode_exec(const Exec& exec) {
    std::string flags;
    if (exec.tty) { flags = "tty " + std::to_string(exec.rows) + " " + std::to_string(exec.columns); }
    if (exec.window != 0) { flags += (flags.empty() ? "window " : " window ") + std::to_string(exec.window); }
    std::vector<std::string> fields{flags, exec.workdir, std::to_string(exec.env.size())};
    fields.insert(fields.end(), exec.env.begin(), exec.env.end());
    fields.insert(fields.end(), exec.argv.begin(), exec.argv.end());
    return join_fields(fields);
}

namespace detail {
/// The text up to the next space, which are taken away.
inline std::string_view take_word(std::string_view& text) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

inline bool parse_flags(std::string_view flags, Exec& exec) {
    while (!flags.empty()) {
        const std::string_view word = take_word(flags);
        if (word == "tty") {
            const auto rows = parse_number<std::uint16_t>(take_word(flags));
            const auto columns = parse_number<std::uint16_t>(take_word(flags));
            if (!rows || !columns) { return false; }
            exec.tty = true;
            exec.rows = *rows;
            exec.columns = *columns;
        } else if (word == "window") {
            const auto window = parse_number<std::uint32_t>(take_word(flags));
            if (!window || *window <= header_size) { return false; } // nothing would ever fit
            exec.window = *window;
        } else {
            return false;
        }
    }
    return true;
}
} // namespace detail

inline std::optional<Exec> parse_exec(std::string_view payload) {
    const auto fields = split_fields(payload);
    if (fields.size() < 4) { return std::nullopt; }
    Exec exec;
    if (!detail::parse_flags(fields[0], exec)) { return std::nullopt; }
    exec.workdir = fields[1];
    const auto variables = parse_number<std::size_t>(fields[2]);
    if (!variables || *variables >= fields.size() - 3) { return std::nullopt; }
    const auto first_arg = fields.begin() + 3 + static_cast<std::ptrdiff_t>(*variables);
    exec.env.assign(fields.begin() + 3, first_arg);
    exec.argv.assign(first_arg, fields.end());
    return exec;
}

/// The payload of `credential`.
struct CredentialPiece {
    std::string_view name;
    bool known = true; ///< else there is none of this name
    std::size_t offset = 0;
    std::size_t size = 0; ///< of the whole
    std::string_view bytes;
};

inline std::string encode_credential(const CredentialPiece& piece) {
    std::string out = join_fields({std::string(piece.name), std::to_string(piece.offset),
                                   piece.known ? std::to_string(piece.size) : std::string()});
    return out.append(piece.bytes);
}

inline std::optional<CredentialPiece> parse_credential(std::string_view payload) {
    std::array<std::string_view, 3> fields;
    for (auto& field : fields) {
        const std::size_t end = payload.find('\0');
        if (end == std::string_view::npos) { return std::nullopt; }
        field = payload.substr(0, end);
        payload.remove_prefix(end + 1);
    }
    CredentialPiece piece;
    piece.name = fields[0];
    piece.known = !fields[2].empty();
    if (!piece.known) { return piece; }
    const auto offset = parse_number<std::size_t>(fields[1]);
    const auto size = parse_number<std::size_t>(fields[2]);
    if (!offset || !size || *offset > *size || payload.size() > *size - *offset) { return std::nullopt; }
    piece.offset = *offset;
    piece.size = *size;
    piece.bytes = payload;
    return piece;
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

    /// Whether a frame has begun and the rest of it is still to come.
    [[nodiscard]] bool partial() const { return !buffer_.empty(); }

    /// Gives up the frame that has begun: its sender is gone (a new connection, or silence for `frame_gap_ms`).
    void give_up() {
        if (partial()) { drop_magic(); }
    }

    /// What was fed and is in no frame yet: feeding it to another decoder makes that go on from here.
    [[nodiscard]] const std::string& unread() const { return buffer_; }

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
