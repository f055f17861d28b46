#include "testkit/coverage_text.h"

#include "compiler/text.h"
#include "testkit/cells.h"
#include "testkit/readable.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace microvmc::testkit {

namespace {

bool is_unproven(const CoverageCell& cell) {
    return cell.cases.empty() && cell.excuse.empty();
}

/// Its place in the list, at the end of which it is put when it isn't there.
std::size_t place(std::vector<std::string>& all, const std::string& one) {
    const auto found = std::ranges::find(all, one);
    if (found != all.end()) { return static_cast<std::size_t>(found - all.begin()); }
    all.push_back(one);
    return all.size() - 1;
}

Cell text_of(const CoverageCell* cell) {
    if (cell == nullptr) { return {"-", style::faint}; }
    const std::string mark = cell->support == "bridged" ? "* " : "";
    if (!cell->cases.empty()) {
        const std::string more = cell->cases.size() == 1 ? "" : fmt::format(" +{}", cell->cases.size() - 1);
        return {mark + readable_line(cell->cases.front()) + more, style::good};
    }
    if (!cell->excuse.empty()) { return {mark + "excused", style::warning}; }
    return {mark + "UNPROVEN", style::bad};
}

std::string excuses_text(const std::vector<CoverageCell>& cells) {
    std::vector<std::string> excuses;
    std::vector<std::vector<std::string>> what;
    for (const CoverageCell& cell : cells) {
        if (!cell.cases.empty() || cell.excuse.empty()) { continue; }
        const std::size_t at = place(excuses, fmt::format("{}: {}", cell.hypervisor, cell.excuse));
        what.resize(excuses.size());
        what[at].push_back(cell.capability);
    }
    std::string text;
    constexpr std::size_t few = 6; // of a hypervisor that isn't there it would be all
    for (std::size_t i = 0; i < excuses.size(); ++i) {
        const std::size_t more = what[i].size() - std::min(what[i].size(), few);
        what[i].resize(what[i].size() - more);
        text += readable_line(fmt::format("  {} ({}{})", excuses[i], fmt::join(what[i], ", "),
                                          more == 0 ? "" : fmt::format(" and {} more", more))) +
                "\n";
    }
    return text.empty() ? text : "\nExcused on this host:\n" + text;
}

} // namespace

std::vector<CoverageCell> unproven(const std::vector<CoverageCell>& cells) {
    std::vector<CoverageCell> found;
    std::ranges::copy_if(cells, std::back_inserter(found), is_unproven);
    return found;
}

CoverageTable coverage_table(const std::vector<CoverageCell>& cells) {
    CoverageTable table;
    for (const CoverageCell& cell : cells) {
        const std::size_t row = place(table.capabilities, cell.capability);
        const std::size_t column = place(table.hypervisors, cell.hypervisor);
        table.cells.resize(table.capabilities.size());
        table.cells[row].resize(std::max(table.cells[row].size(), column + 1));
        table.cells[row][column] = &cell;
    }
    for (auto& row : table.cells) { row.resize(table.hypervisors.size()); }
    return table;
}

std::string coverage_text(const std::vector<CoverageCell>& cells, const Canvas& canvas) {
    if (cells.empty()) { return "No hypervisor took part: nothing is claimed.\n"; }
    const CoverageTable table = coverage_table(cells);
    std::vector<std::vector<Cell>> rows{{{"CAPABILITY", style::heading}}};
    for (const std::string& name : table.hypervisors) { rows[0].push_back({readable_line(name), style::heading}); }
    std::size_t names = 0;
    for (std::size_t i = 0; i < table.capabilities.size(); ++i) {
        std::vector<Cell>& row = rows.emplace_back();
        row.push_back({readable_line(table.capabilities[i])});
        names = std::max(names, display_width(row[0].text));
        for (const CoverageCell* cell : table.cells[i]) { row.push_back(text_of(cell)); }
    }
    // Each column its share; no less than what tells proven from unproven.
    constexpr std::size_t gap = 2;
    constexpr std::size_t narrowest = 10;
    const std::size_t columns = table.hypervisors.size();
    const std::size_t taken = names + gap * columns;
    const std::size_t share = canvas.width > taken ? (canvas.width - taken) / columns : 0;
    std::vector<std::size_t> widths(columns + 1, std::max(share, narrowest));
    widths[0] = names;
    std::string text;
    for (const std::string& line : aligned(rows, widths, canvas.colour)) { text += line + '\n'; }
    if (std::ranges::any_of(cells, [](const CoverageCell& cell) { return cell.support == "bridged"; })) {
        text += "* bridged: microvmc supplies what the hypervisor lacks\n";
    }
    text += excuses_text(cells);
    const auto proven = std::ranges::count_if(cells, [](const CoverageCell& cell) { return !cell.cases.empty(); });
    const auto open = std::ranges::count_if(cells, is_unproven);
    const auto excused = static_cast<std::ptrdiff_t>(cells.size()) - proven - open;
    text += fmt::format("\nCoverage: {} of {} claims proven", proven, cells.size());
    if (excused != 0) { text += fmt::format(", {} excused", excused); }
    if (open != 0) { text += ", " + styled({fmt::format("{} unproven", open), style::bad}, canvas.colour); }
    return text + ".\n";
}

} // namespace microvmc::testkit
