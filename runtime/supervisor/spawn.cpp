#include "runtime/supervisor/spawn.h"

#include "runtime/error.h"
#include "runtime/fd.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace microvmc::supervisor {

namespace {

// clone3(2), Linux 5.7: born in the cgroup. Moving a process there by writing cgroup.procs takes a lock that waits for
// an RCU grace period, some 10 ms.
pid_t fork_into(int cgroup, bool strictly) {
    if (cgroup >= 0) {
        clone_args args{};
        args.flags = CLONE_INTO_CGROUP;
        args.exit_signal = SIGCHLD;
        args.cgroup = static_cast<std::uint64_t>(cgroup);
        const long pid = ::syscall(SYS_clone3, &args, sizeof(args));
        if (pid >= 0 || strictly) { return static_cast<pid_t>(pid); }
    }
    return ::fork();
}

// What a child that can't become the program says of it.
struct Report {
    int error = 0;             ///< errno
    std::size_t read_only = 0; ///< index + 1 of the directory that can't be made so; 0: it is the program
    bool user = false;         ///< it can't become the user
};

// With what is mounted in it, as a mount of its own over the directory: its attributes are set before anybody sees it.
bool make_read_only(const char* directory) {
    const int tree =
        ::open_tree(AT_FDCWD, directory, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | static_cast<unsigned>(AT_RECURSIVE));
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    return tree >= 0 &&
           ::mount_setattr(tree, "", static_cast<unsigned>(AT_EMPTY_PATH | AT_RECURSIVE), &attributes,
                           sizeof(attributes)) == 0 &&
           ::move_mount(tree, "", AT_FDCWD, directory, MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
           // What lies over the root is seen only from a root of its own.
           (std::string_view(directory) != "/" || (::fchdir(tree) == 0 && ::chroot(".") == 0));
}

// The parent-death signal goes with a change of the user (prctl(2)), so that it is set again.
bool become(const User& user, pid_t parent) {
    if (::setgroups(user.groups.size(), user.groups.data()) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
        ::setresuid(user.uid, user.uid, user.uid) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        return false;
    }
    if (::getppid() != parent) { ::_exit(127); }
    return true;
}

[[noreturn]] void child(const SpawnRequest& request, char* const* argv, pid_t parent, int report) {
    const auto fail = [report](std::size_t read_only = 0, bool user = false) {
        const Report words{errno, read_only, user};
        [[maybe_unused]] const ssize_t ignored = ::write(report, &words, sizeof(words));
        ::_exit(127);
    };
    // The supervisor's handlers write to a pipe that is shared with it, so nothing is unblocked before they are gone.
    for (int number = 1; number < NSIG; ++number) { ::signal(number, SIG_DFL); }
    ::setsid();
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) { fail(); }
    if (::getppid() != parent) { ::_exit(127); } // it died before the line above
    if (::dup2(request.in, 0) < 0 || ::dup2(request.out, 1) < 0 || ::dup2(request.err, 2) < 0) { fail(); }
    for (const int kept : request.inherit) {
        if (::fcntl(kept, F_SETFD, 0) != 0) { fail(); }
    }
    for (const SpawnRequest::Placed& placed : request.placed) {
        if (::dup2(placed.fd, placed.number) < 0) { fail(); }
    }
    if (request.listen >= 0 && ::fcntl(request.listen, F_SETFD, 0) != 0) { fail(); }
    // Private: what the host mounts there later is not seen, rather than seen writable.
    if (!request.read_only.empty() &&
        (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)) {
        fail(1);
    }
    for (std::size_t i = 0; i < request.read_only.size(); ++i) {
        if (!make_read_only(request.read_only[i].c_str())) { fail(i + 1); }
    }
    if (request.user && !become(*request.user, parent)) { fail(0, true); }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvp(argv[0], argv);
    fail();
    ::_exit(127);
}

} // namespace

pid_t spawn(const SpawnRequest& request) {
    std::vector<char*> argv;
    for (const std::string& arg : request.argv) { argv.push_back(const_cast<char*>(arg.c_str())); }
    argv.push_back(nullptr);
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        throw Error(std::string("can't make a pipe: ") + std::strerror(errno));
    }
    Fd readable(pipe[0]);
    Fd writable(pipe[1]);
    // Where nothing is placed over it.
    if (!request.placed.empty()) {
        writable.reset(::fcntl(pipe[1], F_DUPFD_CLOEXEC, request.placed.back().number + 1));
    }

    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t parent = ::getpid();
    const pid_t pid = fork_into(request.cgroup, request.limited);
    if (pid == 0) { child(request, argv.data(), parent, writable.get()); }
    const int fork_error = errno;
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) { throw Error(std::string("can't fork: ") + std::strerror(fork_error)); }

    writable.reset();
    Report words;
    ssize_t count = 0;
    do { count = ::read(readable.get(), &words, sizeof(words)); } while (count < 0 && errno == EINTR);
    if (count == 0) { return pid; } // closed by exec
    ::waitpid(pid, nullptr, 0);
    const std::string why = count == sizeof(words) ? std::strerror(words.error) : "it died first";
    if (words.read_only != 0) {
        throw Error("can't make " + request.read_only[words.read_only - 1] + " read-only for " + request.argv[0] +
                    ": " + why);
    }
    if (words.user) { throw Error("can't become the user that runs " + request.argv[0] + ": " + why); }
    throw Error("can't execute " + request.argv[0] + ": " + why);
}

int shell_status(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string describe_wait_status(int wait_status) {
    if (!WIFSIGNALED(wait_status)) { return "exited with status " + std::to_string(WEXITSTATUS(wait_status)); }
    const int number = WTERMSIG(wait_status);
    return "was killed by signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
}

void kill_descendants() {
    // Orphans become our children (PR_SET_CHILD_SUBREAPER), so that each round reaches one generation further down.
    const std::string self = std::to_string(::getpid());
    const Fd children(::open(("/proc/self/task/" + self + "/children").c_str(), O_RDONLY | O_CLOEXEC));
    if (!children) { return; } // CONFIG_PROC_CHILDREN is off
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::read(children.get(), buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    for (char* at = text.data(); *at != '\0';) {
        char* end = nullptr;
        const long pid = std::strtol(at, &end, 10);
        if (end == at) { return; }
        if (pid > 1) { ::kill(static_cast<pid_t>(pid), SIGKILL); }
        at = end;
        while (*at == ' ') { ++at; }
    }
}

} // namespace microvmc::supervisor
