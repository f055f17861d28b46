#pragma once

#include "runtime/launch.h"
#include "testkit/result.h"

#include <string>

namespace microvmc::testkit {

/// What something came to, and why; one line.
struct Verdict {
    Outcome outcome = Outcome::passed;
    std::string message;
};

/// Of a machine that ended though nobody asked it to. `vm` is its name.
Verdict verdict_of(const std::string& vm, const End& end);

} // namespace microvmc::testkit
