#pragma once

#include "testkit/result.h"
#include "testkit/spec.h"

namespace microvmc::testkit {

/// Whether the case's `exclude` leaves the target out. Pure.
bool is_excluded(const Case& which, const Target& target);

} // namespace microvmc::testkit
