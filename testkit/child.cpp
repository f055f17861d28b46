#include "testkit/child.h"

#include "runtime/error.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace microvmc::testkit {

namespace {

// No exec: it goes on with the memory that its parent had, which has one thread.
[[noreturn]] void become(const std::function<void(int)>& body, int events, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) { ::_exit(1); } // it died before the signal was armed
    try {
        body(events);
    } catch (const std::exception&) { ::_exit(1); }
    ::_exit(0);
}

} // namespace

ChildProcess::ChildProcess(const std::function<void(int)>& body) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw Error(std::string("can't make a pipe: ") + std::strerror(errno));
    }
    events_.reset(ends[0]);
    Fd told(ends[1]);
    std::fflush(nullptr); // so that nothing is written twice
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) { throw Error(std::string("can't make a process: ") + std::strerror(errno)); }
    if (pid == 0) { become(body, told.get(), parent); }
    pid_ = Pid(pid);
}

ChildProcess::~ChildProcess() {
    kill();
    reap();
}

bool ChildProcess::read(std::string& text) {
    std::array<char, 65536> buffer{};
    const ssize_t count = ::read(events_.get(), buffer.data(), buffer.size());
    if (count < 0) { return errno == EINTR || errno == EAGAIN; }
    text.append(buffer.data(), static_cast<std::size_t>(count));
    return count != 0;
}

void ChildProcess::kill() {
    if (pid_.value > 0) { ::kill(pid_.value, SIGKILL); }
}

std::string ChildProcess::reap() {
    if (pid_.value <= 0) { return {}; }
    int status = 0;
    while (::waitpid(pid_.value, &status, 0) < 0 && errno == EINTR) {}
    pid_ = Pid();
    if (WIFSIGNALED(status)) { return "was killed by signal " + std::to_string(WTERMSIG(status)); }
    const int code = WEXITSTATUS(status);
    return code == 0 ? std::string() : "exited with status " + std::to_string(code);
}

} // namespace microvmc::testkit
