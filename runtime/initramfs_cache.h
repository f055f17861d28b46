#pragma once

#include "compiler/facts.h"
#include "runtime/file_lock.h"
#include "runtime/paths.h"

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>

// <state>/cache/initramfs: an image for each machine as it was at some time, and the parts that images are made of.

namespace microvmc {

/// What whoever prunes locks exclusively, and others share.
std::string cache_lock_path(const std::string& state_dir);

/// Keeps others from pruning while it lives. From before an image is made or found until its machine's record says that
/// it is used, whoever starts machines has one; any number may.
FileLock hold_initramfs_cache(const std::string& state_dir);

/// The images that a text (a machine's machine.json) names: "0a1b....cpio".
std::set<std::string> initramfs_names(std::string_view text);

/// What is in use: by the machines that run, and by those that are recorded, of all projects, when started with
/// `facts`.
std::set<std::string> used_initramfs(const Directories& directories, const HostFacts& facts);

/// Removes images but for those that `used` says, asked when nobody can start a machine any more, and the `newest` ones
/// of each kind. Does nothing while anybody holds the cache: they prune when they are done. What can't be removed
/// stays.
void prune_initramfs_cache(const std::string& state_dir, const std::function<std::set<std::string>()>& used,
                           std::size_t newest);

/// The same with what is in use, when there are so many that it is worth looking. Best effort: it never throws Error.
void prune_initramfs_cache(const Directories& directories, const HostFacts& facts);

} // namespace microvmc
