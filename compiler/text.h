#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// "512MiB", "512M", "4GiB", "4G", "1TiB", "1T" as MiB. `problem` says what is wrong when there is no value.
std::optional<std::int64_t> parse_size(std::string_view text, std::string& problem);
/// As people write it: "512MiB", "4GiB".
std::string format_size(std::uint64_t mib);

/// "1h", "1m30s", "90s", "500ms" as milliseconds.
std::optional<std::int64_t> parse_duration(std::string_view text, std::string& problem);
std::string format_duration(std::int64_t ms);

/// A whole decimal number without sign; none when it is anything else or too big.
std::optional<std::int64_t> parse_number(std::string_view text);

/// The candidate that was probably meant, by edit distance, else by its beginning (`mem` for `memory`); empty when none
/// is near.
std::string_view nearest(std::string_view wrong, std::span<const std::string_view> candidates);

/// Columns that a terminal gives this code point: 0, 1 or 2.
int display_width(char32_t c);
/// Of a whole UTF-8 text.
std::size_t display_width(std::string_view text);
/// The code point at `i`, which is moved past it. Malformed bytes come as U+FFFD, one each.
char32_t next_code_point(std::string_view text, std::size_t& i);
/// With U+FFFD for each malformed byte.
std::string well_formed(std::string_view text);
/// With control characters (also C1, and those that change direction) as \n, \x1b, \u202e: fit for a terminal.
std::string printable(std::string_view text);

/// Whether it has a control character of ASCII in it.
bool has_control(std::string_view text);

/// "a", "a or b", "a, b or c".
std::string list_or(std::span<const std::string_view> words);

/// "src/../www/" below "/home/me" -> "/home/me/www". `base` is absolute. No file is looked at.
std::string absolute_path(std::string_view base, std::string_view path);

/// An argument as a shell would need it written; for text that people copy. Nothing in it drives a terminal.
std::string shell_quoted(std::string_view argument);
std::string shell_quoted(const std::vector<std::string>& arguments);

} // namespace microvmc
