#pragma once

#include "runtime/root/root_builder.h"
#include "runtime/root/tar_source.h"

#include <string>

namespace microvmc {

/// Reads a directory with all that is in it, in the order of names, owners and times as the host has them. Stays on its
/// file system: what is mounted in it is an empty directory. Symbolic links in it are never followed. Throws Error for
/// what can't be read, or changes meanwhile.
void read_directory(const std::string& path, RootBuilder& root, const BytesRead& progress);

/// What tells one state of a file, or of a directory with all that is in it, from another, without reading contents:
/// names, modes, owners, sizes, times and inode numbers. 64 hexadecimal digits; nothing when there is no such thing.
/// What can't be looked at counts as being there.
std::string source_identity(const std::string& path);

} // namespace microvmc
