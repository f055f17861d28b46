#pragma once

#include "compiler/source.h"
#include "testkit/spec.h"

#include <nlohmann/json_fwd.hpp>

namespace microvmc::testkit {

/// A case with its steps, for programs: `--list --json` prints it. Machines are named only. Durations are milliseconds;
/// what isn't said has no key.
nlohmann::ordered_json case_json(const Case& which, const Sources& sources);

} // namespace microvmc::testkit
