#include "testkit/ports.h"

#include "runtime/error.h"
#include "runtime/fd.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace microvmc::testkit {

namespace {

constexpr std::uint16_t first = 20'000;
constexpr std::uint16_t count_of_all = 10'000;

bool is_free(std::uint16_t port, int type) {
    const Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    return fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

} // namespace

// Runs at the same time begin at different places.
Ports::Ports() : next_(static_cast<std::uint16_t>(::getpid() * 37 % count_of_all)) {}

std::vector<std::uint16_t> Ports::take(std::size_t count) {
    std::vector<std::uint16_t> taken;
    for (std::uint16_t tried = 0; taken.size() < count; ++tried) {
        if (tried == count_of_all) { throw Error("no port of this host is free"); }
        const auto port = static_cast<std::uint16_t>(first + next_);
        next_ = static_cast<std::uint16_t>((next_ + 1) % count_of_all);
        if (is_free(port, SOCK_STREAM) && is_free(port, SOCK_DGRAM)) { taken.push_back(port); }
    }
    return taken;
}

} // namespace microvmc::testkit
