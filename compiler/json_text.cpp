#include "compiler/json_text.h"

#include "compiler/prescan.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace microvmc {

namespace {

constexpr std::size_t most_at_once = 1024;
constexpr std::size_t longest_escape = 6; // \u001f
constexpr std::size_t word = sizeof(std::uint64_t);

constexpr bool is_plain(unsigned char byte) {
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/// Whether eight bytes are plain, by arithmetic on all at once: the highest bit of one that isn't gets set. What a
/// borrow sets besides stands above such a one.
bool are_plain(const char* bytes) {
    constexpr std::uint64_t each = 0x0101'0101'0101'0101;
    std::uint64_t text = 0;
    std::memcpy(&text, bytes, word);
    const std::uint64_t controls = text - each * 0x20;
    const std::uint64_t quotes = (text ^ (each * '"')) - each;
    const std::uint64_t backslashes = (text ^ (each * '\\')) - each;
    return ((text | controls | quotes | backslashes) & (each * 0x80)) == 0;
}

/// Copies what `text` begins with up to what needs an escape; gives its length back.
std::size_t copy_plain(std::string_view text, char* to) {
    std::size_t i = 0;
    while (i + word <= text.size() && are_plain(text.data() + i)) {
        std::memcpy(to + i, text.data() + i, word);
        i += word;
    }
    const std::size_t last = text.size() - word; // for what is left some is looked at again
    if (text.size() >= word && i > last && are_plain(text.data() + last)) {
        std::memcpy(to + last, text.data() + last, word);
        return text.size();
    }
    while (i < text.size() && is_plain(static_cast<unsigned char>(text[i]))) {
        to[i] = text[i];
        ++i;
    }
    return i;
}

char* copy(std::string_view text, char* to) {
    return std::copy(text.begin(), text.end(), to);
}

/// Writes what `text` begins with, one character or byte; gives its length back and moves `to` behind what it wrote.
std::size_t escape(std::string_view text, char*& to) {
    constexpr std::string_view digits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte >= 0x80) {
        const std::size_t length = utf8_length(text);
        to = copy(length == 0 ? "\xEF\xBF\xBD" : text.substr(0, length), to); // JSON is UTF-8
        return std::max<std::size_t>(length, 1);
    }
    if (byte == '"' || byte == '\\') {
        *to++ = '\\';
        *to++ = text.front();
    } else {
        to = copy("\\u00", to);
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    return 1;
}

} // namespace

void JsonText::part(std::string_view text) {
    while (!text.empty()) {
        char* to = room(most_at_once + longest_escape);
        const std::size_t plain = copy_plain(text.substr(0, most_at_once), to);
        to += plain;
        text.remove_prefix(plain);
        if (!text.empty() && plain < most_at_once) { text.remove_prefix(escape(text, to)); }
        advance(to);
    }
}

void JsonText::number(double value) {
    digits(value);
}

void JsonText::boolean(bool value) {
    advance(copy(value ? "true" : "false", room(5)));
}

void JsonText::flush() {
    sink_({buffer_.data(), used_});
    used_ = 0;
}

void JsonText::finish() {
    put('\n');
    flush();
}

void JsonText::next() {
    const std::size_t indent = depth_ * 2;
    char* to = room(indent + 2);
    if (!first_) { *to++ = ','; }
    first_ = false;
    *to++ = '\n';
    std::memset(to, ' ', indent);
    advance(to + indent);
}

void JsonText::begin(char bracket) {
    put(bracket);
    ++depth_;
    first_ = true;
}

void JsonText::end(char bracket) {
    --depth_;
    if (!first_) {
        first_ = true; // no comma
        next();
    }
    put(bracket);
    first_ = false;
}

void JsonText::key(std::string_view name) {
    next();
    string(name);
    advance(copy(": ", room(2)));
}

void JsonText::plain_key(std::string_view name) {
    next();
    char* to = room(name.size() + 4);
    *to++ = '"';
    to = copy(name, to);
    advance(copy("\": ", to));
}

void JsonText::element() {
    next();
}

} // namespace microvmc
