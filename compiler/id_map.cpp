#include "compiler/id_map.h"

#include "compiler/text.h"

#include <limits>

namespace microvmc {

namespace {

constexpr std::int64_t no_id = std::numeric_limits<std::uint32_t>::max(); // (uid_t)-1, which stands for none

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) { text.remove_prefix(1); }
    while (text.ends_with(' ')) { text.remove_suffix(1); }
    return text;
}

std::string_view take(std::string_view& text, char end) {
    const std::size_t at = std::min(text.find(end), text.size());
    const std::string_view piece = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return piece;
}

std::optional<std::uint32_t> id(std::string_view text) {
    const std::optional<std::int64_t> number = parse_number(text);
    if (!number || *number >= no_id) { return std::nullopt; }
    return static_cast<std::uint32_t>(*number);
}

std::optional<IdRange> range(std::string_view text) {
    if (text.starts_with("*:")) {
        const auto host = id(text.substr(2));
        return host ? std::optional(IdRange{0, *host, 1, true}) : std::nullopt;
    }
    const auto guest = id(take(text, ':'));
    const auto host = id(take(text, ':'));
    const auto count = id(text);
    if (!guest || !host || !count || *count == 0) { return std::nullopt; }
    if (std::int64_t{*guest} + *count > no_id || std::int64_t{*host} + *count > no_id) { return std::nullopt; }
    return IdRange{*guest, *host, *count, false};
}

} // namespace

std::optional<std::vector<IdRange>> parse_id_map(std::string_view text) {
    std::vector<IdRange> ranges;
    do {
        const std::optional<IdRange> one = range(trimmed(take(text, ',')));
        if (!one) { return std::nullopt; }
        ranges.push_back(*one);
    } while (!text.empty());
    for (const IdRange& each : ranges) {
        if (each.all && ranges.size() != 1) { return std::nullopt; }
    }
    return ranges;
}

} // namespace microvmc
