#pragma once

#include "compiler/traits.h"
#include "testkit/run.h"

#include <span>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// What --list shows: a line a combination, with the reason when it would be skipped. Pure.
std::string listing_text(const Specs& specs, const std::vector<Target>& targets,
                         const std::vector<Combination>& combinations, std::span<const Traits> traits, bool colour);

/// The same for programs: the cases, each with the targets that it is for. Indented, with a newline at its end.
std::string listing_json(const Specs& specs, const std::vector<Target>& targets,
                         const std::vector<Combination>& combinations, std::span<const Traits> traits);

} // namespace microvmc::testkit
