#include "runtime/guest/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h> // after sys/socket.h

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace microvmc::guest {

namespace {

constexpr std::size_t congestion_bytes = 131'072;
constexpr std::size_t piece_bytes = 32'768; // what virtio_console takes in one write

std::string find_virtio_port(const std::string& name) {
    constexpr const char* ports = "/sys/class/virtio-ports";
    for (const auto& port : list_directory(ports)) {
        const auto found = read_file(concat({ports, "/", port, "/name"}), 256);
        if (found && trim(*found) == name) { return concat({"/dev/", port}); }
    }
    return {};
}

void make_raw(int tty) {
    termios settings{};
    if (tcgetattr(tty, &settings) != 0) { return; }
    cfmakeraw(&settings);
    cfsetspeed(&settings, B115200);
    settings.c_cflag |= CLOCAL;
    tcsetattr(tty, TCSANOW, &settings);
}

constexpr linger until_taken{1, 1}; // seconds

sockaddr_vm vsock_address(std::uint32_t cid, std::uint32_t port) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    return address;
}

Fd listen_on_vsock(std::uint32_t port) {
    Fd listener(socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const sockaddr_vm address = vsock_address(VMADDR_CID_ANY, port);
    const auto* any = reinterpret_cast<const sockaddr*>(&address);
    if (listener.open() && (bind(listener.get(), any, sizeof address) != 0 || listen(listener.get(), 4) != 0)) {
        listener.reset();
    }
    return listener;
}

Fd connect_to_host(std::uint32_t port) {
    Fd stream(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_vm address = vsock_address(VMADDR_CID_HOST, port);
    const auto* host = reinterpret_cast<const sockaddr*>(&address);
    if (!stream.open() || connect(stream.get(), host, sizeof address) != 0) { return {}; }
    fcntl(stream.get(), F_SETFL, O_NONBLOCK);
    setsockopt(stream.get(), SOL_SOCKET, SO_LINGER, &until_taken, sizeof until_taken);
    return stream;
}

} // namespace

Failure Channel::open(const std::string& spec) {
    const std::size_t colon = std::min(spec.find(':'), spec.size());
    const std::string kind = spec.substr(0, colon);
    const std::string name = spec.substr(std::min(colon + 1, spec.size()));
    if (kind == "vsock" || kind == "vsock-host") {
        const auto port = wire::parse_number<std::uint32_t>(name);
        if (!port) { return concat({"not a vsock port: ", name}); }
        if (kind == "vsock") {
            serve(listen_on_vsock(*port));
        } else {
            wait_for(device_wait_ms, [&] {
                device_ = connect_to_host(*port);
                return device_.open();
            });
        }
        return is_open() ? Failure() : with_errno({"cannot open the agent channel ", spec}, errno);
    }
    if (kind != "virtio-port" && kind != "tty") { return concat({"unknown kind of agent channel: ", spec}); }
    int error_number = 0;
    const bool opened = wait_for(device_wait_ms, [&] {
        const std::string path = kind == "tty" ? name : find_virtio_port(name);
        if (path.empty()) { return false; }
        device_ = Fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        error_number = errno;
        return device_.open();
    });
    if (!opened && error_number != 0) { return with_errno({"cannot open the agent channel ", spec}, error_number); }
    if (!opened) { return concat({"the agent channel ", spec, " did not appear"}); }
    if (kind == "tty") { make_raw(device_.get()); }
    return std::nullopt;
}

void Channel::send(wire::Type type, std::uint32_t stream, std::string_view payload) {
    if (!is_open()) { return; }
    queue_.append(wire::encode(type, stream, payload.substr(0, wire::max_payload)));
    pump();
}

void Channel::take_hosts() {
    for (;;) {
        Fd host(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!host.open()) { return; }
        if (device_.open()) { lose_host(); }
        setsockopt(host.get(), SOL_SOCKET, SO_LINGER, &until_taken, sizeof until_taken);
        device_ = std::move(host);
        ++hosts_;
    }
}

void Channel::lose_host() {
    // What it has not taken it never will: there is nothing to linger for.
    constexpr linger not_at_all{0, 0};
    setsockopt(device_.get(), SOL_SOCKET, SO_LINGER, &not_at_all, sizeof not_at_all);
    device_.reset();
    queue_.clear();
    sent_ = 0;
    decoder_ = {};
    silent_since_ms_.reset();
}

void Channel::pump() {
    if (listener_.open() && !device_.open()) { take_hosts(); }
    if (!device_.open()) { return; } // what is queued is for the first that comes
    while (sent_ < queue_.size()) {
        const std::size_t size = std::min(queue_.size() - sent_, piece_bytes);
        const ssize_t written = ::write(device_.get(), queue_.data() + sent_, size);
        if (written < 0 && errno == EINTR) { continue; }
        if (written < 0 && errno != EAGAIN && listener_.open()) { return lose_host(); }
        if (written <= 0) { break; }
        sent_ += static_cast<std::size_t>(written);
    }
    if (sent_ == queue_.size() || sent_ > congestion_bytes) {
        queue_.erase(0, sent_);
        sent_ = 0;
    }
}

bool Channel::congested() const {
    return queue_.size() - sent_ >= congestion_bytes;
}

bool Channel::read_piece() {
    if (!device_.open()) { return false; }
    char piece[piece_bytes];
    const ssize_t got = ::read(device_.get(), piece, sizeof piece);
    if (listener_.open() && (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))) {
        lose_host();
        return false;
    }
    if (got == 0) { decoder_ = {}; } // a virtio port without a host: what comes next is another one's
    if (got <= 0) {
        if (!silent_since_ms_) { silent_since_ms_ = now_ms(); }
        return false;
    }
    silent_since_ms_.reset();
    decoder_.feed({piece, static_cast<std::size_t>(got)});
    return true;
}

int Channel::partial_timeout_ms() const {
    if (!decoder_.partial() || !silent_since_ms_) { return -1; }
    return static_cast<int>(std::max<std::int64_t>(0, *silent_since_ms_ + wire::frame_gap_ms - now_ms()));
}

void Channel::forget_partial() {
    if (partial_timeout_ms() == 0) { decoder_.give_up(); }
}

void Channel::flush(std::int64_t limit_ms, std::int64_t absent_ms) {
    if (!is_open()) { return; }
    const std::int64_t start = now_ms();
    const auto drained = [&] {
        pump();
        int in_tty = 0;
        return sent_ == queue_.size() && (ioctl(device_.get(), TIOCOUTQ, &in_tty) != 0 || in_tty == 0);
    };
    wait_for(limit_ms, [&] {
        if (drained()) { return true; }
        pollfd port{device_.get(), 0, 0};
        const bool absent = !device_.open() || (::poll(&port, 1, 0) == 1 && (port.revents & POLLHUP) != 0);
        return absent && now_ms() - start >= absent_ms;
    });
}

void Channel::close() {
    listener_.reset();
    device_.reset();
}

} // namespace microvmc::guest
