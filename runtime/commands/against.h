#pragma once

#include "compiler/observed.h"
#include "runtime/commands/session.h"

#include <optional>
#include <string>

namespace microvmc {

/// The machines of another microvm.toml, compiled as `project` on the same facts, or of a plan (saved, or what
/// `plan --json` printed), as if they ran. Nothing: the file has errors, which were shown. Throws Error when it can't
/// be read or is no plan.
std::optional<Observed> machines_of(const std::string& path, const Session& session, const std::string& project);

} // namespace microvmc
