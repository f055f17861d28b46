#pragma once

#include "compiler/plan.h"
#include "testkit/result.h"

namespace microvmc::testkit {

/// Shows what failed on the terminal, and gives it to a shell in the first machine that still answers, until that
/// shell ends.
void enter(const CaseResult& failed, const Plan& plan);

} // namespace microvmc::testkit
