#include "runtime/commands/moments.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <ctime>
#include <optional>
#include <string_view>

namespace microvmc {

namespace {

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// A number of so many digits at the beginning, which goes.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    if (text.size() < digits) { return std::nullopt; }
    const auto number = parse_number(text.substr(0, digits));
    if (!number) { return std::nullopt; }
    text.remove_prefix(digits);
    return static_cast<int>(*number);
}

std::optional<std::int64_t> parse_time(std::string_view text) {
    std::tm parts{};
    struct Part {
        int* value;
        std::size_t digits;
        char before;
    };
    const std::array<Part, 6> pattern{{{&parts.tm_year, 4, '\0'},
                                       {&parts.tm_mon, 2, '-'},
                                       {&parts.tm_mday, 2, '-'},
                                       {&parts.tm_hour, 2, 'T'},
                                       {&parts.tm_min, 2, ':'},
                                       {&parts.tm_sec, 2, ':'}}};
    parts.tm_mday = 1;
    std::size_t taken = 0;
    for (const Part& part : pattern) {
        if (part.before != '\0') {
            if (taken >= 3 && (text.empty() || text == "Z")) { break; }
            if (text.empty() || (text.front() != part.before && !(part.before == 'T' && text.front() == ' '))) {
                return std::nullopt;
            }
            text.remove_prefix(1);
        }
        const auto number = take_number(text, part.digits);
        if (!number) { return std::nullopt; }
        *part.value = *number;
        ++taken;
    }
    std::int64_t ms = 0;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        const auto thousandths = take_number(text, 3);
        if (!thousandths) { return std::nullopt; }
        ms = *thousandths;
    }
    if (!text.empty() && text != "Z") { return std::nullopt; }
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    return std::int64_t{::timegm(&parts)} * 1000 + ms;
}

} // namespace

std::string utc(std::int64_t ms) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000);
}

std::string now_utc() {
    return utc(now_ms());
}

std::int64_t milliseconds_of(const std::string& utc_text) {
    return parse_time(utc_text).value_or(0);
}

std::string moment_of(const std::string& text) {
    if (const auto time = parse_time(text)) { return utc(*time); }
    std::string problem;
    const bool bare = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (const auto ago = parse_duration(bare ? text + "s" : text, problem)) { return utc(now_ms() - *ago); }
    throw Error(fmt::format("no moment: {}", printable(text)), "say how long ago, 10m, or when, 2026-11-25T21:00:00Z");
}

} // namespace microvmc
