#pragma once

#include <sys/wait.h>

#include <cerrno>

namespace microvmc::guest {

/// A wait status as a shell shows it: the exit status, or 128 + the signal's number.
inline int exit_status(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/// The status of a program that could not be executed, as a shell shows it (POSIX, "Exit Status for Commands").
inline int status_of_failed_exec(int error_number) {
    return error_number == ENOENT || error_number == ENOTDIR ? 127 : 126;
}

} // namespace microvmc::guest
