#pragma once

#include "runtime/paths.h"

#include <set>
#include <string>
#include <string_view>

// <state>/cache/roots: the images that are made of roots' sources, named by what they are made of.

namespace microvmc {

/// The images that a text (a machine's record) names: "0a1b....erofs".
std::set<std::string> root_image_names(std::string_view text);

/// Removes images that no machine of any project runs on or is recorded or saved with, but for the newest of them, which is
/// perhaps wanted again. Does nothing while anybody starts machines (hold_initramfs_cache): they prune when they are
/// done. Best effort: it never throws Error.
void prune_root_cache(const Directories& directories);

} // namespace microvmc
