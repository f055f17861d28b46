#include "testkit/cells.h"

#include "compiler/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace microvmc::testkit {

std::string styled(const Cell& cell, bool colour) {
    if (!colour || *cell.style == '\0' || cell.text.empty()) { return cell.text; }
    return fmt::format("\x1b[{}m{}\x1b[0m", cell.style, cell.text);
}

std::string fitted(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) { return std::string(text); }
    const std::size_t room = width < 2 ? 0 : width - 2;
    std::size_t used = 0;
    std::size_t end = 0;
    for (std::size_t i = 0; i < text.size();) {
        used += static_cast<std::size_t>(display_width(next_code_point(text, i)));
        if (used > room) { break; }
        end = i;
    }
    return std::string(text.substr(0, end)) + std::string(std::min<std::size_t>(width, 2), '.');
}

std::vector<std::string> aligned(const std::vector<std::vector<Cell>>& rows, const std::vector<std::size_t>& widths,
                                 bool colour) {
    std::vector<std::size_t> wide;
    for (const auto& row : rows) {
        wide.resize(std::max(wide.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) { wide[i] = std::max(wide[i], display_width(row[i].text)); }
    }
    for (std::size_t i = 0; i < std::min(wide.size(), widths.size()); ++i) { wide[i] = std::min(wide[i], widths[i]); }
    std::vector<std::string> lines;
    for (const auto& row : rows) {
        std::string line;
        std::size_t gap = 0; // spaces that come only if something follows
        for (std::size_t i = 0; i < row.size(); ++i) {
            const Cell cell{fitted(row[i].text, wide[i]), row[i].style};
            if (!cell.text.empty()) {
                line.append(gap, ' ');
                line += styled(cell, colour);
                gap = 0;
            }
            gap += wide[i] - display_width(cell.text) + 2;
        }
        lines.push_back(std::move(line));
    }
    return lines;
}

} // namespace microvmc::testkit
