#pragma once

#include "runtime/guest/system.h"

#include <cstdint>
#include <vector>

namespace microvmc::guest {

/// What an event belongs to.
enum class Source : std::uint32_t { channel, signals, button, notify, devices, stream_in, stream_out, stream_err };

struct Event {
    Source source;
    std::uint32_t number = 0; ///< which of that kind
    std::uint32_t events = 0; ///< EPOLL*
};

/// epoll(7). Edge-triggered for the channel: a virtio port without a host says EPOLLHUP all the time, and tells of a
/// host's coming by an edge.
class Poller {
public:
    Poller();
    void add(int fd, Source source, std::uint32_t number, std::uint32_t events) const;
    void set(int fd, Source source, std::uint32_t number, std::uint32_t before, std::uint32_t events) const;
    /// Waits at most `timeout_ms` (-1: for ever).
    std::vector<Event> wait(int timeout_ms) const;

private:
    Fd epoll_;
};

/// A descriptor that is registered only while something is wanted of it: a pipe whose other end is closed would
/// otherwise report that for ever.
class Watched {
public:
    [[nodiscard]] bool open() const { return fd_.open(); }
    [[nodiscard]] int get() const { return fd_.get(); }
    void set(Fd fd) { fd_ = std::move(fd); }
    void want(const Poller& poller, Source source, std::uint32_t number, std::uint32_t events);
    void close();

private:
    Fd fd_;
    const Poller* poller_ = nullptr;
    std::uint32_t events_ = 0; ///< 0: not registered
};

} // namespace microvmc::guest
