#include "compiler/json_text.h"

#include "compiler/prescan.h"

#include <array>

namespace microvmc {

void JsonText::number(double value) {
    digits(value);
}

void JsonText::next() {
    if (!first_) { out_ += ','; }
    first_ = false;
    out_ += '\n';
    out_.append(depth_ * 2, ' ');
}

void JsonText::begin(char bracket) {
    out_ += bracket;
    ++depth_;
    first_ = true;
}

void JsonText::end(char bracket) {
    --depth_;
    if (!first_) {
        out_ += '\n';
        out_.append(depth_ * 2, ' ');
    }
    out_ += bracket;
    first_ = false;
}

void JsonText::key(std::string_view name) {
    next();
    string(name);
    out_ += ": ";
}

void JsonText::plain_key(std::string_view name) {
    next();
    out_ += '"';
    out_ += name;
    out_ += "\": ";
}

void JsonText::element() {
    next();
}

void JsonText::string(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    constexpr auto needs_no_escape = [] {
        std::array<bool, 256> table{};
        for (std::size_t c = 0x20; c < 0x80; ++c) { table[c] = c != '"' && c != '\\'; }
        return table;
    }();
    out_ += '"';
    std::size_t plain = 0; // where what needs no escape begins
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (needs_no_escape[byte]) {
            ++i;
            continue;
        }
        const std::size_t length = byte < 0x80 ? 1 : utf8_length(text.substr(i));
        if (byte >= 0x80 && length != 0) {
            i += length;
            continue;
        }
        out_ += text.substr(plain, i - plain);
        if (byte >= 0x80) {
            out_ += "\xEF\xBF\xBD"; // JSON is UTF-8
        } else if (byte == '"' || byte == '\\') {
            out_ += '\\';
            out_ += static_cast<char>(byte);
        } else {
            out_ += "\\u00";
            out_ += digits[byte >> 4];
            out_ += digits[byte & 15];
        }
        plain = ++i;
    }
    out_ += text.substr(plain);
    out_ += '"';
}

} // namespace microvmc
