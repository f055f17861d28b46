#pragma once

#include "testkit/tally.h"

#include <string>
#include <vector>

namespace microvmc::testkit {

/// What there is to draw on.
struct Canvas {
    unsigned width = 100;
    unsigned height = 24;
    bool colour = false;
};

/// The matrix: targets as columns, specs as rows, in each cell how many cases are done and how they went. What doesn't
/// fit is left out first (times, words), then columns go below others. Lines without line ends, none wider than the
/// canvas.
std::vector<std::string> matrix_lines(const Tally& tally, const Canvas& canvas);

/// What is shown while a run goes on: a line with counts and a clock, the matrix, the cases that run longest. No more
/// lines than the canvas has, less one for the cursor; rows that are done or haven't begun go first.
std::vector<std::string> live_lines(const Tally& tally, Clock::time_point now, const Canvas& canvas);

} // namespace microvmc::testkit
