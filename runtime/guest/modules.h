#pragma once

#include "runtime/guest/text.h"

#include <string>
#include <vector>

namespace microvmc::guest {

/// Loads /microvmc/modules/NAME for each name, in this order, then removes the files: they are memory. A module that is
/// loaded already is fine. Returns what failed, a line each ("module x.ko: Exec format error"): fatal only when a
/// device is missing later.
std::vector<std::string> load_modules(const std::vector<std::string>& names);

} // namespace microvmc::guest
