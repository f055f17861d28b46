#include "runtime/facts/namespaces.h"

#include <cerrno>
#include <csignal>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace microvmc {

namespace {

// Ends this process: 0 when all of it could be done.
[[noreturn]] void try_out(bool is_root) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | (is_root ? 0 : CLONE_NEWUSER)) != 0) { ::_exit(1); }
    const pid_t inside = ::fork(); // the first of the new process namespace
    if (inside == 0) {
        const bool mounted = ::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0 &&
                             ::mount("proc", "/proc", "proc", MS_NODEV | MS_NOEXEC | MS_NOSUID, nullptr) == 0;
        ::_exit(mounted ? 0 : 1);
    }
    int status = 1;
    ::_exit(inside > 0 && ::waitpid(inside, &status, 0) == inside && status == 0 ? 0 : 1);
}

} // namespace

bool can_make_namespaces() {
    const bool is_root = ::geteuid() == 0;
    const pid_t child = ::fork();
    if (child < 0) { return false; }
    if (child == 0) { try_out(is_root); }
    int status = 1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status == 0;
}

} // namespace microvmc
