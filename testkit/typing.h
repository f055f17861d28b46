#pragma once

#include "testkit/attempt.h"

#include <cstdint>
#include <string>

namespace microvmc::testkit {

/// Types on a machine's console, `times` times over, and gives what it has said since the last console step. Returns
/// when all is taken.
Attempt type(const std::string& name, const std::string& text, std::int64_t times, const Scene& scene,
             Clock::time_point deadline);

/// What the console has said since the last console step.
Attempt heard(const std::string& name, const Scene& scene);

} // namespace microvmc::testkit
