#include "runtime/supervisor/signals.h"

#include "runtime/error.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <sys/signalfd.h>

namespace microvmc::supervisor {

int open_signals() {
    sigset_t ours;
    ::sigemptyset(&ours);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT}) { ::sigaddset(&ours, number); }
    ::sigprocmask(SIG_BLOCK, &ours, nullptr);
    const int fd = ::signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) { throw Error(std::string("can't take signals: ") + std::strerror(errno)); }
    return fd;
}

} // namespace microvmc::supervisor
