#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace microvmc::guest {

struct Program {
    std::vector<std::string> argv; ///< the program is searched for on the environment's PATH
    std::vector<std::string> env;  ///< whole
    std::string workdir;           ///< empty: "/"
    int stdin_fd = -1;             ///< -1: /dev/null
    int stdout_fd = -1;
    int stderr_fd = -1;
    bool terminal = false; ///< stdin becomes the controlling terminal
    bool built_in = false; ///< argv may be one of the init's own (copy.h)
};

/// Starts it in a session of its own, all signals as a new process has them. When it can't be executed, the child says
/// so on its stderr and exits with 126 or 127. -1 and errno: no process could be made.
pid_t spawn(const Program& program);

/// As `spawn`, but waits until the program is executed; 0 or the errno of what failed.
int spawn_and_confirm(const Program& program, pid_t& pid);

} // namespace microvmc::guest
