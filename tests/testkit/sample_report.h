#pragma once

#include "testkit/result.h"

namespace microvmc::testkit {

/// A run in which everything came about: each outcome, a target that is unusable, one with a kernel of its own, a case
/// that passed on its second attempt, covered, excused and unproven capabilities.
RunReport sample_report();

/// The same, but its texts have what a hostile guest says: control characters, malformed UTF-8, markup, "]]>".
RunReport hostile_report();

} // namespace microvmc::testkit
