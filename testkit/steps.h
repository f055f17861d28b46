#pragma once

#include "compiler/diagnostic.h"
#include "testkit/spec.h"
#include "testkit/spec_schema.h"

#include <set>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// What a case does, and before and after it.
struct MadeSteps {
    std::vector<Step> steps;
    std::vector<HostStep> prepare;
    std::vector<HostStep> cleanup;
};

/// The steps of a case as they will be carried out, checked against its machines and each other: names, references,
/// regular expressions, answers that a kind of step doesn't give, machines that aren't in the state for a step. `axes`
/// are the matrix's.
MadeSteps make_steps(const SpecConfig& spec, const Config& machines, const std::set<std::string>& axes,
                     Diagnostics& diagnostics);

} // namespace microvmc::testkit
