#include "testkit/readable.h"

#include "compiler/text.h"

#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

/// Bytes of the control sequence at the start of `text` (ECMA-48, 5.4: CSI, parameters, intermediates, final); 0: there
/// is none.
std::size_t control_sequence(std::string_view text) {
    if (!text.starts_with("\x1b[")) { return 0; }
    std::size_t end = 2;
    while (end < text.size() && text[end] >= 0x30 && text[end] <= 0x3F) { ++end; }
    while (end < text.size() && text[end] >= 0x20 && text[end] <= 0x2F) { ++end; }
    const bool whole = end < text.size() && text[end] >= 0x40 && text[end] <= 0x7E;
    return whole ? end + 1 : 0;
}

} // namespace

std::string readable_line(std::string_view text) {
    std::string line = printable(text);
    // U+FFFE and U+FFFF are no characters: XML has no place for them.
    for (std::size_t at = 0; (at = line.find("\xEF\xBF", at)) != std::string::npos; at += 3) {
        if (line[at + 2] == '\xBE' || line[at + 2] == '\xBF') { line[at + 2] = '\xBD'; }
    }
    return line;
}

std::string readable_text(std::string_view text) {
    std::string out;
    std::size_t plain = 0; // where what was not yet taken begins
    const auto take = [&](std::size_t end) { out += readable_line(text.substr(plain, end - plain)); };
    for (std::size_t i = 0; i < text.size();) {
        std::size_t skip = 0;
        std::string_view instead;
        if (text[i] == '\n' || text[i] == '\t') {
            skip = 1;
            instead = text.substr(i, 1);
        } else if (text[i] == '\r') {
            const std::size_t line_end = text.find_first_not_of('\r', i);
            if (line_end == std::string_view::npos || text[line_end] == '\n') { skip = 1; }
        } else {
            skip = control_sequence(text.substr(i));
        }
        if (skip == 0) {
            ++i;
            continue;
        }
        take(i);
        out += instead;
        i += skip;
        plain = i;
    }
    take(text.size());
    return out;
}

std::string readable_time(std::int64_t ms) {
    if (ms < 100) { return fmt::format("{} ms", ms); }
    if (ms < 99'950) { return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000); }
    const std::int64_t seconds = (ms + 500) / 1000;
    if (seconds < 3600) { return fmt::format("{}m {:02}s", seconds / 60, seconds % 60); }
    return fmt::format("{}h {:02}m", seconds / 3600, seconds % 3600 / 60);
}

} // namespace microvmc::testkit
