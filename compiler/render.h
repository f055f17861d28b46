#pragma once

#include "compiler/diff.h"
#include "compiler/plan.h"

#include <string>

namespace microvmc {

/// A plan as a person reviews it: what it is made for, each machine's changes with a symbol in column 0 (+ create, >
/// start, ~ in place, ! restart, - stop or destroy), what it runs on the host under a heading of its own, and a last
/// line that counts. `width`: columns of the terminal; origins are left out where they don't fit.
std::string render_text(const Plan& plan, const Changes& changes, bool colour, unsigned width);

} // namespace microvmc
