#include "runtime/machine_relay.h"

#include "runtime/error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace microvmc::machine {

RawTerminal::RawTerminal(int fd) : fd_(fd) {
    termios settings{};
    if (::isatty(fd) == 0 || ::tcgetattr(fd, &settings) != 0) { return; }
    before_ = settings;
    ::cfmakeraw(&settings);
    ::tcsetattr(fd, TCSADRAIN, &settings);
}

RawTerminal::~RawTerminal() {
    // TCSANOW: output that nobody takes must not hold us up.
    if (before_) { ::tcsetattr(fd_, TCSANOW, &*before_); }
}

Signals::Signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH, SIGPIPE}) { ::sigaddset(&set, number); }
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd_) {
        const int error = errno;
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        throw Error(std::string("can't make a signalfd: ") + std::strerror(error));
    }
}

Signals::~Signals() {
    while (next() != 0) {} // one that came while this ended was meant for it
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int Signals::next() {
    signalfd_siginfo info{};
    while (::read(fd_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
        if (info.ssi_signo != SIGPIPE) { return static_cast<int>(info.ssi_signo); }
    }
    return 0;
}

bool Outlet::flush() {
    constexpr std::size_t pipe_buf = 4096; // PIPE_BUF: a pipe that is writable takes as much; pipe(7)
    const ssize_t count = socket_ ? ::send(fd_, pending_.data(), pending_.size(), MSG_NOSIGNAL | MSG_DONTWAIT)
                                  : ::write(fd_, pending_.data(), std::min(pending_.size(), pipe_buf));
    if (count < 0) { return errno == EAGAIN || errno == EINTR; }
    pending_.erase(0, static_cast<std::size_t>(count));
    return true;
}

ssize_t read_some(int fd, char* buffer, std::size_t size) {
    const ssize_t count = ::read(fd, buffer, size);
    if (count < 0) { return errno == EAGAIN || errno == EINTR ? -1 : 0; }
    return count;
}

} // namespace microvmc::machine
