#pragma once

#include "runtime/fd.h"

#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <termios.h>

// What console and exec share: a terminal and streams between a person and a machine.

namespace microvmc::machine {

/// Raw mode of a terminal while it lives; nothing when the descriptor is none.
class RawTerminal {
public:
    explicit RawTerminal(int fd);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

private:
    int fd_;
    std::optional<termios> before_;
};

/// Signals as something to read while it lives: SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGWINCH (and SIGPIPE, so that a
/// closed pipe is an error of write). Of the calling thread.
class Signals {
public:
    Signals();
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// The next one, SIGPIPE left out; 0: none.
    int next();

private:
    Fd fd_;
    sigset_t before_{};
};

/// Bytes on their way to a descriptor that poll(2) says is writable. The descriptor stays blocking (it is shared with
/// others), so that only as much is written at a time as is taken without waiting.
class Outlet {
public:
    Outlet(int fd, bool socket) : fd_(fd), socket_(socket) {}

    void add(std::string_view bytes) { pending_.append(bytes); }
    [[nodiscard]] std::size_t pending() const { return pending_.size(); }
    /// For pollfd: the descriptor when there is something to write, else -1.
    [[nodiscard]] int poll_fd() const { return pending_.empty() ? -1 : fd_; }
    /// False when nobody reads any more.
    bool flush();

private:
    int fd_;
    bool socket_;
    std::string pending_;
};

/// read(2) with EINTR and EAGAIN as nothing (-1), an error as the end (0).
ssize_t read_some(int fd, char* buffer, std::size_t size);

} // namespace microvmc::machine
