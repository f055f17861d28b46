#include "runtime/guest/probe.h"

#include "runtime/guest/spawn.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace microvmc::guest {

namespace {

constexpr int step_ms = 25;
constexpr int answer_step_ms = 5;      // while an answer is awaited
constexpr int answer_limit_ms = 5'000; // then it is asked anew
constexpr int command_limit_ms = 30'000;

socklen_t socket_address(const Address& address, std::uint16_t port, sockaddr_storage& out) {
    out = {};
    if (address.family == AF_INET) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(out);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        std::memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
        return sizeof v4;
    }
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
    return sizeof v6;
}

/// A connection within the machine is made, or refused, at once: no waiting for it beyond a millisecond.
Fd connect_to(const Address& address, std::uint16_t port) {
    sockaddr_storage to{};
    const socklen_t size = socket_address(address, port, to);
    Fd socket(::socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket.open()) { return {}; }
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), size) == 0) { return socket; }
    if (errno != EINPROGRESS) { return {}; }
    pollfd waiting{socket.get(), POLLOUT, 0};
    int error_number = 0;
    socklen_t error_size = sizeof error_number;
    const bool connected = ::poll(&waiting, 1, 1) == 1 &&
                           getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error_number, &error_size) == 0 &&
                           error_number == 0;
    return connected ? std::move(socket) : Fd();
}

std::vector<Address> own_addresses(const Settings& settings) {
    std::vector<Address> addresses{*parse_address("127.0.0.1"), *parse_address("::1")};
    for (const auto& interface : settings.interfaces) {
        addresses.insert(addresses.end(), interface.addresses.begin(), interface.addresses.end());
    }
    return addresses;
}

Fd open_notify_socket() {
    mkdir("/run/microvmc", 0755);
    unlink(notify_socket);
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, notify_socket, sizeof address.sun_path - 1);
    if (!socket.open() || bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return {};
    }
    chmod(notify_socket, 0666); // the main process may have dropped its privileges
    return socket;
}

} // namespace

Probe::Probe(const Settings& settings, std::vector<std::string> env)
    : ready_(settings.ready), addresses_(own_addresses(settings)), env_(std::move(env)) {
    holds_ = std::holds_alternative<ready::Init>(ready_);
    if (std::holds_alternative<ready::Notify>(ready_)) { notify_ = open_notify_socket(); }
}

int Probe::timeout_ms() const {
    const bool asks = std::holds_alternative<ready::Tcp>(ready_) || std::holds_alternative<ready::Http>(ready_) ||
                      std::holds_alternative<ready::Command>(ready_);
    if (holds_ || !asks) { return -1; }
    return static_cast<int>(std::max<std::int64_t>(0, next_ms_ - now_ms()));
}

void Probe::ask() {
    if (timeout_ms() != 0) { return; }
    next_ms_ = now_ms() + step_ms;
    if (const auto* tcp = std::get_if<ready::Tcp>(&ready_)) { holds_ = ask_tcp(tcp->port); }
    if (const auto* http = std::get_if<ready::Http>(&ready_)) { holds_ = ask_http(*http); }
    if (const auto* command = std::get_if<ready::Command>(&ready_)) { ask_command(*command); }
}

bool Probe::ask_tcp(std::uint16_t port) {
    return std::any_of(addresses_.begin(), addresses_.end(),
                       [port](const Address& address) { return connect_to(address, port).open(); });
}

bool Probe::ask_http(const ready::Http& http) {
    // Another address each time, so that one with a wrong server doesn't hide the right one.
    for (std::size_t tried = 0; !request_.open() && tried < addresses_.size(); ++tried) {
        request_ = connect_to(addresses_[next_address_++ % addresses_.size()], http.port);
        if (!request_.open()) { continue; }
        const std::string path = http.path.empty() ? "/" : http.path;
        const std::string text =
            concat({"GET ", path, " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: microvmc\r\nConnection: close\r\n\r\n"});
        answer_.clear();
        asked_ms_ = now_ms();
        if (::send(request_.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
            request_.reset();
        }
    }
    if (!request_.open()) { return false; }
    next_ms_ = now_ms() + answer_step_ms;
    constexpr std::size_t enough = 16; // the status line's beginning
    char piece[enough];
    ssize_t got = 0;
    while (answer_.size() < enough && (got = ::recv(request_.get(), piece, enough - answer_.size(), 0)) > 0) {
        answer_.append(piece, static_cast<std::size_t>(got));
    }
    const bool waits = answer_.size() < enough && got < 0 && errno == EAGAIN && now_ms() - asked_ms_ < answer_limit_ms;
    if (waits) { return false; }
    request_.reset();
    next_ms_ = now_ms() + step_ms;
    return is_good_answer(answer_);
}

void Probe::ask_command(const ready::Command& command) {
    if (command_ > 0) {
        if (now_ms() - asked_ms_ > command_limit_ms) { kill(-command_, SIGKILL); }
        return;
    }
    Program program;
    program.argv = command.argv;
    program.env = env_;
    asked_ms_ = now_ms();
    command_ = spawn(program);
}

bool Probe::child_exited(pid_t pid, int status) {
    if (pid != command_) { return false; }
    command_ = -1;
    holds_ = status == 0;
    next_ms_ = now_ms() + step_ms;
    return true;
}

void Probe::read_notification() {
    char text[4096];
    ssize_t got = 0;
    while ((got = ::recv(notify_.get(), text, sizeof text, 0)) >= 0) {
        if (says_ready({text, static_cast<std::size_t>(got)})) { holds_ = true; }
    }
}

} // namespace microvmc::guest
