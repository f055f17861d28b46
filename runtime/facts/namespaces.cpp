#include "runtime/facts/namespaces.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace microvmc {

namespace {

// The first process of the new namespaces. Status 0 when all of it could be done.
int try_out(void* /*nothing*/) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool mounted = ::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0 &&
                         ::mount("proc", "/proc", "proc", MS_NODEV | MS_NOEXEC | MS_NOSUID, nullptr) == 0;
    ::_exit(mounted ? 0 : 1);
}

} // namespace

bool can_make_namespaces() {
    // As vfork(2): a copy of this process, which may have the facts of thousands of machines, would take longer than
    // all else here. The child has the memory and nothing but system calls to make.
    constexpr int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | SIGCHLD;
    alignas(16) std::array<char, 16384> stack; // NOLINT(cppcoreguidelines-pro-type-member-init)
    const pid_t child =
        ::clone(try_out, stack.data() + stack.size(), ::geteuid() == 0 ? flags : flags | CLONE_NEWUSER, nullptr);
    if (child < 0) { return false; }
    int status = 1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status == 0;
}

} // namespace microvmc
