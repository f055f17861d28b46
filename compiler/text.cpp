#include "compiler/text.h"

#include "compiler/prescan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

namespace microvmc {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

struct Range {
    char32_t first;
    char32_t last;
};

bool in(std::span<const Range> ranges, char32_t c) {
    return std::ranges::any_of(ranges, [c](const Range& range) { return c >= range.first && c <= range.last; });
}

// Unicode 15 East Asian Width W and F, and combining marks, to the block: a caret under a name need be no finer.
constexpr std::array wide = {
    Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0x33FF},   Range{0x3400, 0x4DBF},
    Range{0x4E00, 0x9FFF},   Range{0xA000, 0xA4CF},   Range{0xA960, 0xA97F},   Range{0xAC00, 0xD7A3},
    Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},   Range{0xFF01, 0xFF60},   Range{0xFFE0, 0xFFE6},
    Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1F9FF}, Range{0x20000, 0x3FFFD},
};
constexpr std::array zero = {
    Range{0x0300, 0x036F}, Range{0x0483, 0x0489}, Range{0x0591, 0x05BD}, Range{0x0610, 0x061A},
    Range{0x064B, 0x065F}, Range{0x1AB0, 0x1AFF}, Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200D},
    Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F},
};
/// Characters that reorder what is around them: a diagnostic must show them, not obey them.
constexpr std::array directions = {Range{0x061C, 0x061C}, Range{0x200E, 0x200F}, Range{0x2028, 0x202E},
                                   Range{0x2066, 0x2069}};

} // namespace

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty() || !is_digit(text.front())) {
        return std::nullopt;
    }
    return value;
}

std::optional<std::int64_t> parse_size(std::string_view text, std::string& problem) {
    std::size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) { ++digits; }
    const auto number = parse_number(text.substr(0, digits));
    const std::string_view unit = text.substr(digits);
    if (!number) {
        problem = "a size is a number and a unit: \"512MiB\", \"4GiB\"";
        return std::nullopt;
    }
    if (unit == "MB" || unit == "GB" || unit == "TB") {
        problem = fmt::format("{} is ambiguous; write \"{}{}iB\" for the binary unit", unit, *number, unit.front());
        return std::nullopt;
    }
    std::int64_t factor = 0;
    if (unit == "MiB" || unit == "M") { factor = 1; }
    if (unit == "GiB" || unit == "G") { factor = 1024; }
    if (unit == "TiB" || unit == "T") { factor = 1 << 20; }
    if (factor == 0) {
        problem = unit.empty() ? fmt::format("a size in a string needs a unit: \"{}MiB\"", *number)
                               : fmt::format("`{}` is no unit of size; MiB, GiB and TiB are", printable(unit));
        return std::nullopt;
    }
    if (*number > (std::int64_t{1} << 40) / factor) {
        problem = "the size is beyond 1 EiB";
        return std::nullopt;
    }
    return *number * factor;
}

std::string format_size(std::uint64_t mib) {
    if (mib != 0 && mib % (1U << 20) == 0) { return fmt::format("{}TiB", mib / (1U << 20)); }
    if (mib != 0 && mib % 1024 == 0) { return fmt::format("{}GiB", mib / 1024); }
    return fmt::format("{}MiB", mib);
}

std::optional<std::int64_t> parse_duration(std::string_view text, std::string& problem) {
    constexpr std::int64_t most = std::int64_t{1000} * 60 * 60 * 24 * 365;
    constexpr std::string_view form = "a duration is written like \"1m30s\", \"90s\" or \"2h\"";
    std::int64_t total = 0;
    std::int64_t last = most;
    if (text.empty()) {
        problem = form;
        return std::nullopt;
    }
    while (!text.empty()) {
        std::size_t digits = 0;
        while (digits < text.size() && is_digit(text[digits])) { ++digits; }
        const auto number = parse_number(text.substr(0, digits));
        text.remove_prefix(digits);
        std::size_t letters = 0;
        while (letters < text.size() && !is_digit(text[letters])) { ++letters; }
        const std::string_view unit = text.substr(0, letters);
        text.remove_prefix(letters);
        std::int64_t factor = 0;
        if (unit == "ms") { factor = 1; }
        if (unit == "s") { factor = 1000; }
        if (unit == "m") { factor = 60'000; }
        if (unit == "h") { factor = 3'600'000; }
        if (!number || factor == 0 || factor >= last) {
            problem = form;
            return std::nullopt;
        }
        if (*number > most / factor) {
            problem = "the duration is beyond a year";
            return std::nullopt;
        }
        last = factor;
        total += *number * factor;
    }
    return total;
}

std::string format_duration(std::int64_t ms) {
    if (ms == 0) { return "0s"; }
    std::string text;
    const std::array<std::pair<std::int64_t, const char*>, 4> units = {
        {{3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}}};
    for (const auto& [factor, unit] : units) {
        if (ms >= factor) { text += fmt::format("{}{}", ms / factor, unit); }
        ms %= factor;
    }
    return text;
}

namespace {

/// The candidate that is a beginning of `wrong` ("mem" of "memory"), the longest such, else the shortest that `wrong`
/// is a beginning of.
std::string_view shortened(std::string_view wrong, std::span<const std::string_view> candidates) {
    constexpr std::size_t least = 3;
    std::string_view shorter;
    std::string_view longer;
    for (const std::string_view candidate : candidates) {
        if (candidate.size() < least || wrong.size() < least) { continue; }
        if (wrong.starts_with(candidate) && candidate.size() > shorter.size()) { shorter = candidate; }
        if (candidate.starts_with(wrong) && (longer.empty() || candidate.size() < longer.size())) {
            longer = candidate;
        }
    }
    return shorter.empty() ? longer : shorter;
}

} // namespace

std::string_view nearest(std::string_view wrong, std::span<const std::string_view> candidates) {
    constexpr std::size_t longest = 40;
    if (wrong.empty() || wrong.size() > longest) { return {}; }
    std::string_view best;
    // Of a word as short as that, another one would be anything.
    std::size_t best_distance = wrong.size() < 3 ? 1 : std::max<std::size_t>(1, wrong.size() / 3) + 1;
    std::array<std::array<std::size_t, longest + 1>, 3> rows{};
    for (const std::string_view candidate : candidates) {
        if (candidate.size() > longest) { continue; }
        // Optimal string alignment: a swap of neighbours counts once, since that is how people mistype.
        for (std::size_t j = 0; j <= candidate.size(); ++j) { rows[0][j] = j; }
        std::size_t current = 0;
        for (std::size_t i = 1; i <= wrong.size(); ++i) {
            const std::size_t before = current;
            const std::size_t before_that = (current + 2) % 3;
            current = (current + 1) % 3;
            rows[current][0] = i;
            for (std::size_t j = 1; j <= candidate.size(); ++j) {
                const auto same = [](char a, char b) {
                    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
                    return (lower(a) == '_' ? '-' : lower(a)) == (lower(b) == '_' ? '-' : lower(b));
                };
                std::size_t cost = std::min({rows[before][j] + 1, rows[current][j - 1] + 1,
                                             rows[before][j - 1] + (same(wrong[i - 1], candidate[j - 1]) ? 0U : 1U)});
                if (i > 1 && j > 1 && same(wrong[i - 1], candidate[j - 2]) && same(wrong[i - 2], candidate[j - 1])) {
                    cost = std::min(cost, rows[before_that][j - 2] + 1);
                }
                rows[current][j] = cost;
            }
        }
        const std::size_t distance = rows[current][candidate.size()];
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best.empty() ? shortened(wrong, candidates) : best;
}

char32_t next_code_point(std::string_view text, std::size_t& i) {
    const std::size_t length = utf8_length(text.substr(i));
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
    char32_t c = 0xFFFD;
    switch (length) {
    case 1: c = byte(0); break;
    case 2: c = static_cast<char32_t>((byte(0) & 0x1F) << 6 | (byte(1) & 0x3F)); break;
    case 3: c = static_cast<char32_t>((byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)); break;
    case 4:
        c = static_cast<char32_t>((byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 |
                                  (byte(3) & 0x3F));
        break;
    default: break;
    }
    i += std::max<std::size_t>(length, 1);
    return c;
}

int display_width(char32_t c) {
    if (c < 0x300) { return 1; }
    if (in(zero, c)) { return 0; }
    return in(wide, c) ? 2 : 1;
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < text.size();) {
        width += static_cast<std::size_t>(display_width(next_code_point(text, i)));
    }
    return width;
}

std::string well_formed(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text.substr(i));
        if (length == 0) {
            out += "\xEF\xBF\xBD";
        } else {
            out += text.substr(i, length);
        }
        i += std::max<std::size_t>(length, 1);
    }
    return out;
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t start = i;
        const char32_t c = next_code_point(text, i);
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c < 0x20 || c == 0x7F) {
            out += fmt::format("\\x{:02x}", static_cast<std::uint32_t>(c));
        } else if ((c >= 0x80 && c < 0xA0) || in(directions, c)) {
            out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
        } else if (c == 0xFFFD) {
            out += "\xEF\xBF\xBD";
        } else {
            out += text.substr(start, i - start);
        }
    }
    return out;
}

bool has_control(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t start = i;
        const char32_t c = next_code_point(text, i);
        const std::string_view as_it_is = text.substr(start, i - start);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += as_it_is;
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\t') {
            out += "\\t";
        } else if (printable(as_it_is) != as_it_is) {
            const auto code = static_cast<std::uint32_t>(c);
            out += code > 0xFFFF ? fmt::format("\\U{:08X}", code) : fmt::format("\\u{:04X}", code);
        } else {
            out += as_it_is;
        }
    }
    return out + '"';
}

std::string list_or(std::span<const std::string_view> words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i != 0) { text += i + 1 == words.size() ? " or " : ", "; }
        text += words[i];
    }
    return text;
}

std::string absolute_path(std::string_view base, std::string_view path) {
    std::string out;
    out.reserve(base.size() + path.size() + 2);
    const auto append = [&out](std::string_view from) {
        while (!from.empty()) {
            const std::size_t slash = from.find('/');
            const std::string_view part = from.substr(0, slash);
            from.remove_prefix(slash == std::string_view::npos ? from.size() : slash + 1);
            if (part.empty() || part == ".") { continue; }
            if (part == "..") {
                const std::size_t last = out.rfind('/');
                out.resize(last == std::string::npos ? 0 : last);
                continue;
            }
            out += '/';
            out += part;
        }
    };
    if (!path.starts_with('/')) { append(base); }
    append(path);
    if (out.empty()) { out = '/'; }
    return out;
}

std::string shell_quoted(std::string_view argument) {
    const bool plain = !argument.empty() && std::ranges::all_of(argument, [](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("_-./:=,+@%").find(c) != std::string_view::npos;
    });
    if (plain) { return std::string(argument); }
    // $'...' of POSIX.1-2024, bash and zsh: what a terminal would obey is written in octal.
    bool escape = false;
    std::string dollar = "$'";
    for (std::size_t i = 0; i < argument.size();) {
        const std::size_t start = i;
        const char32_t c = next_code_point(argument, i);
        const std::string_view bytes = argument.substr(start, i - start);
        const bool broken = c == 0xFFFD && bytes.size() == 1;
        if (c < 0x20 || (c >= 0x7F && c < 0xA0) || in(directions, c) || broken) {
            escape = true;
            for (const char byte : bytes) {
                dollar += fmt::format("\\{:03o}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
            }
        } else {
            if (c == '\'' || c == '\\') { dollar += '\\'; }
            dollar += bytes;
        }
    }
    if (escape) { return dollar + "'"; }
    std::string out = "'";
    for (const char c : argument) {
        if (c == '\'') {
            out += "'\\''";
        } else {
            out += c;
        }
    }
    return out + "'";
}

std::string shell_quoted(const std::vector<std::string>& arguments) {
    std::string out;
    for (const auto& argument : arguments) {
        if (!out.empty()) { out += ' '; }
        out += shell_quoted(argument);
    }
    return out;
}

} // namespace microvmc
