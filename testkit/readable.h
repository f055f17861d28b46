#pragma once

#include <string>
#include <string_view>

// What guests and programs say, fit for a terminal and for XML: UTF-8, without control characters that would do
// something (compiler/text.h: printable).

namespace microvmc::testkit {

/// One line: line ends and tabs come as \n and \t.
std::string readable_line(std::string_view text);

/// As many lines as it has: line ends and tabs stay, carriage returns before a line's end and the sequences that colour
/// text or move the cursor (ECMA-48) go.
std::string readable_text(std::string_view text);

/// "1.9 s", "2m 3s"; "12 ms" below a tenth of a second.
std::string readable_time(std::int64_t ms);

} // namespace microvmc::testkit
