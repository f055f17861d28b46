#pragma once

#include <string>

namespace microvmc {

/// The JSON Schema (draft-07) of what `plan --out` saves and `plan --json` prints; made from the lists of members that
/// to_json goes by (plan_json.cpp). Indented, with a newline at its end.
std::string plan_json_schema();

} // namespace microvmc
