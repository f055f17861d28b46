#pragma once

#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include <optional>
#include <string>

namespace microvmc {

/// The saved plan that the session names: its only file, when that ends in .json.
std::optional<std::string> saved_plan_path(const Session& session);

/// Reads a plan that `plan --out` saved, and the sources it was made from. Throws Error when it is none, or when a
/// source can't be read or has other content now: then the plan is stale.
Pipeline load_saved_plan(const std::string& path);

/// Throws Error that says what has changed since, when `now` was made from other facts or another state than `saved`.
void refuse_stale(const Plan& saved, const Plan& now, const std::string& path);

} // namespace microvmc
