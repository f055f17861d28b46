#pragma once

#include "runtime/guest/settings.h"

#include <string>
#include <string_view>
#include <vector>

namespace microvmc::guest {

/// Loads /microvmc/modules/NAME for each name, in this order. A module that is loaded already is fine. Returns what
/// failed, a line each ("module x.ko: Exec format error"): fatal only when a device is missing later.
std::vector<std::string> load_modules(const std::vector<std::string>& names);

/// Loads those of a file system that is about to be mounted. What can't be loaded the mount tells.
void load_file_system(const Settings& settings, std::string_view name);

/// Removes the files: they are memory.
void forget_modules();

} // namespace microvmc::guest
