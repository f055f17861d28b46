#pragma once

#include "testkit/references.h"
#include "testkit/spec.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace microvmc::testkit {

/// What one attempt of a step gave.
struct Answer {
    std::string bytes;
    std::optional<int> status; ///< of kinds that have one
    int success = 0;           ///< the status that counts when the step doesn't say: http 200
    std::string said;          ///< what explains a bad status: the last words on standard error, "connection refused"
};

/// Why the answer isn't what the step expects; empty: it is. Throws Error when what is expected can't be known: a
/// reference that stands for nothing, a number that is none.
std::string difference(const Expect& expect, const Answer& answer, const Lookup& lookup);

/// What the step captures of an answer: name, text.
struct Captured {
    std::vector<std::pair<std::string, std::string>> values;
    std::string missing; ///< why one could not be; empty: all were
};
Captured capture(const Step& step, const Answer& answer, const Lookup& lookup);

/// All references replaced; throws Error that names one that stands for nothing.
std::string filled(const Text& text, const Lookup& lookup);

/// For a message: on one line, in quotes, not longer than a line.
std::string in_quotes(std::string_view text);

} // namespace microvmc::testkit
