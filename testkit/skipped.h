#pragma once

#include "testkit/result.h"

#include <string>
#include <vector>

namespace microvmc::testkit {

/// Cases that were skipped for one reason.
struct Skipped {
    std::string why;
    std::size_t count = 0;
    std::vector<std::string> specs;   ///< theirs, each once
    std::vector<std::string> targets; ///< on which, each once
};

/// In the order in which they come first.
std::vector<Skipped> skipped_reasons(const RunReport& report);

} // namespace microvmc::testkit
