#pragma once

#include "runtime/files.h"

#include <string>

namespace microvmc {

/// Copies a regular file, its holes kept, to a file of mode 0600 that takes the name `to`, whole, in place of what has
/// it. Where the file system can, both share their blocks until one is written (ioctl_ficlone(2)). `to_disk`: data and
/// name outlive a power cut. Throws Error, also when a signal is pending that this thread blocks and that would end it
/// (so that a long copy can be given up).
void copy_file(const std::string& from, const std::string& to, Sync sync);

/// The same between two open files: `to` becomes what `from` is. False and errno when it can't.
bool copy_content(int from, int to);

/// Exchanges two files of one file system at once (renameat2(2), where the file system has that; else one after the
/// other). When there is no file `a`, `b` becomes it. Throws Error.
void swap_files(const std::string& a, const std::string& b);

} // namespace microvmc
