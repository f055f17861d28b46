#pragma once

#include "runtime/snapshot.h"

#include <cstdint>
#include <string>

namespace microvmc {

/// The one of that name, or the newest when none is given. Throws Error with those that there are.
Snapshot find_snapshot(const std::string& state_dir, const std::string& name);

std::string snapshot_name(const Snapshot& snapshot);

/// "2026-11-25 20:45:32", local time.
std::string time_text(std::int64_t unix_seconds);

/// "75MiB": what the files of a directory take of the disk.
std::string used_text(const std::string& directory);

} // namespace microvmc
