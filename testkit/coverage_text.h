#pragma once

#include "testkit/matrix_text.h"
#include "testkit/result.h"

#include <string>
#include <vector>

namespace microvmc::testkit {

/// Pure. What is claimed, not proven, and not excused: each is a failure.
std::vector<CoverageCell> unproven(const std::vector<CoverageCell>& cells);

/// What --coverage prints: capabilities as rows, hypervisors as columns, which case proved it; excuses; counts.
std::string coverage_text(const std::vector<CoverageCell>& cells, const Canvas& canvas);

/// The cells as a table, for whoever draws it.
struct CoverageTable {
    std::vector<std::string> hypervisors;  ///< the columns
    std::vector<std::string> capabilities; ///< the rows; both in the order in which they come first
    /// [row][column]; null: not claimed. Into the cells that it was made of.
    std::vector<std::vector<const CoverageCell*>> cells;
};
CoverageTable coverage_table(const std::vector<CoverageCell>& cells);

} // namespace microvmc::testkit
