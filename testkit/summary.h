#pragma once

#include "testkit/matrix_text.h"
#include "testkit/result.h"

#include <string>

namespace microvmc::testkit {

/// A finished case as one line, without its end: "ok", "FAIL" or "skip", which case, where, how long it took, why.
std::string case_line(const CaseResult& result, bool colour);

/// What a person reads when a run is over: the matrix, each failure in full, why cases were skipped, counts.
std::string summary_text(const RunReport& report, const Canvas& canvas);

} // namespace microvmc::testkit
