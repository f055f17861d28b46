#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

// Looking at streams of text that come in pieces.

namespace microvmc::supervisor {

/// Finds a text in a stream, also across pieces.
class TextWatch {
public:
    explicit TextWatch(std::string text) : text_(std::move(text)) {}

    /// Whether the text ends in, or is in, these bytes.
    bool feed(std::string_view bytes);
    void reset() { tail_.clear(); }
    /// What it remembers of the stream: feeding this to another one makes it go on from here.
    [[nodiscard]] const std::string& tail() const { return tail_; }

private:
    std::string text_;
    std::string tail_; ///< the last bytes, one fewer than the text has
};

/// The last `limit` bytes of a stream.
class Tail {
public:
    explicit Tail(std::size_t limit) : limit_(limit) {}

    void feed(std::string_view bytes);
    [[nodiscard]] const std::string& text() const { return text_; }
    void clear() { text_.clear(); }

private:
    std::size_t limit_;
    std::string text_; ///< twice the limit at most, so that it is moved seldom
};

/// The last lines that say something, at most `lines` and 1 KiB, one after another with "; " between; no control
/// characters.
std::string last_lines(std::string_view text, std::size_t lines);

/// The first line from where `text` begins in `stream`, printable characters only, 200 bytes at most; empty: not there.
std::string line_from(std::string_view stream, std::string_view text);

/// "1.2s", cut off.
std::string seconds(std::chrono::milliseconds duration);

} // namespace microvmc::supervisor
