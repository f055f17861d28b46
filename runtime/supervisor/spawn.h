#pragma once

#include "runtime/user.h"

#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

namespace microvmc::supervisor {

struct SpawnRequest {
    const std::vector<std::string>& argv; ///< argv[0] without a slash is looked up on PATH
    int in = -1;                          ///< become the child's 0, 1 and 2; none of them may be below 3
    int out = -1;
    int err = -1;
    std::vector<int> inherit{}; ///< stay open in the child under their numbers
    int listen = -1;            ///< likewise; -1: none
    /// What it finds under other numbers, that none of the others has; the numbers here are beyond all of those.
    struct Placed {
        int fd = -1;
        int number = -1;
    };
    std::vector<Placed> placed{};
    std::optional<User> user{}; ///< who it becomes; nothing: he who we are
    int cgroup = -1;            ///< descriptor of a cgroup's directory, in which the child begins; -1: ours
    bool limited = false;       ///< it must not begin elsewhere
    /// It gets a mount namespace of its own, in which these directories and all that is mounted in them are read-only.
    /// Takes root, and Linux 5.12 (mount_setattr(2)).
    std::span<const std::string> read_only{};
};

/// Starts a child that dies with this process, has a session of its own, default signals and no other descriptors.
/// Returns its pid once it executes the program; throws Error when it can't. A cgroup that can't be entered is gone
/// without, unless it is one with limits. Only for a process with one thread: between fork and exec nothing may be
/// locked.
pid_t spawn(const SpawnRequest& request);

/// A wait status as a shell shows it: 128 + N for signal N.
int shell_status(int wait_status);
/// In words: "exited with status 1", "was killed by signal 9 (Killed)".
std::string describe_wait_status(int wait_status);

/// Kills by SIGKILL everything below this process, which must be a child subreaper. Returns without waiting.
void kill_descendants();

} // namespace microvmc::supervisor
