#pragma once

#include "compiler/facts.h"
#include "testkit/result.h"

#include <vector>

namespace microvmc::testkit {

/// Pure. Every capability that the traits of the targets' hypervisors call native or bridged, in the order of the
/// hypervisors and of known_capabilities(), with the cases that passed and prove it, and what excuses this host.
std::vector<CoverageCell> coverage_of(const std::vector<Target>& targets, const std::vector<CaseResult>& results,
                                      const HostFacts& facts);

} // namespace microvmc::testkit
