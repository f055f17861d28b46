#include "compiler/prescan.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/document.h"

#include <fmt/format.h>

namespace microvmc {

namespace {

enum class State { plain, comment, basic, literal, multi_basic, multi_literal };

bool is_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '+';
}

} // namespace

std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned first = byte(0);
    if (first < 0x80) { return text.empty() ? 0 : 1; }
    if (first >= 0xC2 && first <= 0xDF) { return tail(1) ? 2 : 0; }
    if (first >= 0xE0 && first <= 0xEF) {
        if (!tail(1) || !tail(2)) { return 0; }
        if (first == 0xE0 && byte(1) < 0xA0) { return 0; }
        if (first == 0xED && byte(1) > 0x9F) { return 0; }
        return 3;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        if (!tail(1) || !tail(2) || !tail(3)) { return 0; }
        if (first == 0xF0 && byte(1) < 0x90) { return 0; }
        if (first == 0xF4 && byte(1) > 0x8F) { return 0; }
        return 4;
    }
    return 0;
}

std::optional<ScanProblem> prescan(std::string_view text) {
    if (text.size() > max_source_bytes) {
        return ScanProblem{
            codes::too_large, {}, fmt::format("the file has {} bytes", text.size()), "a microvm.toml may have 8 MiB"};
    }
    State state = State::plain;
    std::uint32_t line = 1;
    std::uint32_t column = 1;
    std::uint32_t depth = 0;
    std::uint32_t dots = 0; // of the dotted key that may be going on
    const auto triple = [&](std::size_t i, char quote) {
        return i + 2 < text.size() && text[i] == quote && text[i + 1] == quote && text[i + 2] == quote;
    };
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        std::size_t length = 1;
        if (static_cast<unsigned char>(c) >= 0x80) {
            length = utf8_length(text.substr(i));
            if (length == 0) {
                return ScanProblem{codes::not_utf8,
                                   {line, column},
                                   fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(c)),
                                   "TOML is UTF-8; save the file in that encoding"};
            }
        }
        std::size_t columns = 1;
        switch (state) {
        case State::plain:
            if (c == '#') {
                state = State::comment;
            } else if (c == '"' || c == '\'') {
                const bool multi = triple(i, c);
                state = c == '"' ? (multi ? State::multi_basic : State::basic)
                                 : (multi ? State::multi_literal : State::literal);
                if (multi) { length = columns = 3; }
            } else if (c == '[' || c == '{') {
                dots = 0;
                if (++depth > max_nesting) {
                    return ScanProblem{codes::too_deep,
                                       {line, column},
                                       fmt::format("values are nested more than {} deep", max_nesting),
                                       {}};
                }
            } else if (c == ']' || c == '}') {
                dots = 0;
                if (depth > 0) { --depth; }
            } else if (c == '.') {
                if (++dots >= max_dotted_parts) {
                    return ScanProblem{codes::too_deep,
                                       {line, column},
                                       fmt::format("a dotted key has more than {} parts", max_dotted_parts),
                                       {}};
                }
            } else if (!is_key_character(c) && c != ' ' && c != '\t') {
                dots = 0;
            }
            break;
        case State::comment: break;
        case State::basic:
            if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\n') {
                // The escaped character is looked at here, unless it is the first byte of a longer one.
                if (static_cast<unsigned char>(text[i + 1]) < 0x80) { length = columns = 2; }
            } else if (c == '"') {
                state = State::plain;
            }
            break;
        case State::literal:
            if (c == '\'') { state = State::plain; }
            break;
        case State::multi_basic:
            if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\n') {
                if (static_cast<unsigned char>(text[i + 1]) < 0x80) { length = columns = 2; }
            } else if (triple(i, '"')) {
                state = State::plain;
                length = columns = 3;
                while (columns < 5 && i + length < text.size() && text[i + length] == '"') { length = ++columns; }
            }
            break;
        case State::multi_literal:
            if (triple(i, '\'')) {
                state = State::plain;
                length = columns = 3;
                while (columns < 5 && i + length < text.size() && text[i + length] == '\'') { length = ++columns; }
            }
            break;
        }
        if (c == '\n') {
            ++line;
            column = 1;
            dots = 0;
            // An unclosed one-line string ends here for us; toml++ says what is wrong with it.
            if (state == State::comment || state == State::basic || state == State::literal) { state = State::plain; }
        } else {
            column += static_cast<std::uint32_t>(columns);
        }
        i += length;
    }
    return std::nullopt;
}

} // namespace microvmc
