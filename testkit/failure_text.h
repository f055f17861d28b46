#pragma once

#include "testkit/result.h"

#include <string>

namespace microvmc::testkit {

/// All that is known of a case that failed, as lines: message, where, time line, command lines, the console's last
/// lines, artifacts. Fit for a terminal (testkit/readable.h).
std::string failure_text(const CaseResult& result);

} // namespace microvmc::testkit
