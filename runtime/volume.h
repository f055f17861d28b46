#pragma once

#include "compiler/plan.h"
#include "runtime/action.h"

#include <cstdint>
#include <string>
#include <vector>

namespace microvmc {

/// Pure: the command that makes the volume's file system, with "{}" for its image. `program` is mke2fs, mke2fs(8) its
/// manual; empty for fs_type "none". Throws Error for a file system that isn't made here, and for what mke2fs would cut
/// off or take for something else: a label of more than 16 bytes, a UUID that is none.
std::vector<std::string> mkfs_argv(const VolumePlan& volume, const std::string& program);

/// Makes a sparse image of the volume's size with its file system (`request.mkfs`, whose last "{}" is the image; empty:
/// none) under its name, all at once; whoever is killed meanwhile leaves no image. False when a file of that name is
/// there, which is never touched. Throws Error when there isn't room for all of it, or the file system can't be made.
bool create_volume(const CreateVolume& request);

/// Makes an image longer. Throws Error when it would become shorter, or when a process that uses it has it locked: QEMU
/// by an open file description lock (its file-posix.c), others by flock.
void grow_volume(const std::string& image, std::uint64_t size_mib);

} // namespace microvmc
