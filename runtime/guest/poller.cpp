#include "runtime/guest/poller.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

namespace microvmc::guest {

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

void Poller::add(int fd, Source source, std::uint32_t number, std::uint32_t events) const {
    set(fd, source, number, 0, events);
}

void Poller::set(int fd, Source source, std::uint32_t number, std::uint32_t before, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = (static_cast<std::uint64_t>(source) << 32) | number;
    const int operation = events == 0 ? EPOLL_CTL_DEL : before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    epoll_ctl(epoll_.get(), operation, fd, &event);
}

std::vector<Event> Poller::wait(int timeout_ms) const {
    std::array<epoll_event, 16> events{};
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
    std::vector<Event> found;
    for (int i = 0; i < std::max(count, 0); ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        found.push_back(
            {static_cast<Source>(event.data.u64 >> 32), static_cast<std::uint32_t>(event.data.u64), event.events});
    }
    return found;
}

void Watched::want(const Poller& poller, Source source, std::uint32_t number, std::uint32_t events) {
    if (!open() || events == events_) { return; }
    poller.set(get(), source, number, events_, events);
    poller_ = &poller;
    events_ = events;
}

void Watched::close() {
    // Taken out by hand: a child that was forked and has not executed yet holds a copy, which would keep it registered.
    if (open() && events_ != 0) { poller_->set(get(), Source::channel, 0, events_, 0); }
    events_ = 0;
    fd_.reset();
}

} // namespace microvmc::guest
