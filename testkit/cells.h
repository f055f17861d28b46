#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace microvmc::testkit {

/// Colours by what they mean (SGR parameters, ECMA-48).
namespace style {
inline constexpr const char* plain = "";
inline constexpr const char* heading = "1";
inline constexpr const char* good = "32";
inline constexpr const char* bad = "1;31";
inline constexpr const char* warning = "33";
inline constexpr const char* busy = "36";
inline constexpr const char* faint = "2";
} // namespace style

/// A piece of a line in one style. Its text drives no terminal (readable_line).
struct Cell {
    std::string text;
    const char* style = style::plain;
};

/// The text in its style, or as it is.
std::string styled(const Cell& cell, bool colour);

/// Cut to `width` columns, ".." at its end when something is missing.
std::string fitted(std::string_view text, std::size_t width);

/// Rows as lines of aligned columns, two spaces between; no column is wider than its `widths`, which may be fewer
/// (without a limit). No spaces at the ends of lines.
std::vector<std::string> aligned(const std::vector<std::vector<Cell>>& rows, const std::vector<std::size_t>& widths,
                                 bool colour);

} // namespace microvmc::testkit
