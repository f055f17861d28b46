#pragma once

#include "compiler/plan.h"
#include "runtime/action.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// Pure: the command that makes the volume's file system in `image`: mke2fs(8), mkfs.xfs(8), mkfs.btrfs(8),
/// mkfs.fat(8); empty for fs_type "none". The user's own arguments come last, behind the image, so that none of them
/// can name another. Throws Error for a file system that isn't made here, and for what its program would cut off or
/// take for something else: a label that it can't keep, a UUID that is none.
std::vector<std::string> mkfs_argv(const VolumePlan& volume, const ToolFacts& program, const std::string& image);

/// QEMU's word for a format of volumes: "vpc" for "vhd".
std::string image_driver(std::string_view format);

/// Pure: what is run, in order, to make the volume. `image` stands for its file, `raw` for what that is made of when it
/// isn't raw itself. A raw image that it starts from is copied before.
std::vector<std::vector<std::string>> volume_commands(const CreateVolume& request, const std::string& raw,
                                                      const std::string& image);

/// Makes a sparse image of the volume's size with its file system under its name, all at once; whoever is killed
/// meanwhile leaves no image. False when a file of that name is there, which is never touched. Throws Error when it
/// can't be made, for instance because the disk is full.
bool create_volume(const CreateVolume& request);

/// Makes an image longer. Throws Error when it would become shorter, or when a process that uses it has it locked: QEMU
/// by an open file description lock (its file-posix.c), others by flock.
void grow_volume(const GrowVolume& request);

/// Makes a raw image longer that a running machine uses, whose VMM must be told. Throws Error when it would become
/// shorter, or can't be made so.
void lengthen_raw_image(const std::string& image, std::uint64_t bytes);

} // namespace microvmc
