#pragma once

#include <sys/types.h>

namespace microvmc::supervisor {

/// Opens the slave of the pty that process `pid` made for itself, in raw mode; -1 when it has made none. Its number is
/// what /proc says of the master (linux: Documentation/filesystems/proc.rst, "tty-index").
int open_terminal_of(pid_t pid);

} // namespace microvmc::supervisor
