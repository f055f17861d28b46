#include "runtime/supervisor/agent.h"

#include "runtime/supervisor/sockets.h"
#include "runtime/supervisor/terminals.h"

#include <chrono>
#include <sys/socket.h>
#include <utility>

namespace microvmc::supervisor {

namespace {
using namespace std::chrono_literals;
constexpr int quick_tries = 400; ///< a VMM listens within milliseconds; one that takes 2 s is asked less often
constexpr auto quick = 5ms;
constexpr auto slow = 100ms;
constexpr auto punished = 2000ms;
constexpr auto answer_time = 20s;                          ///< of a guest whose driver is still to come
constexpr std::size_t max_answer = 32;                     ///< "OK 4294967295\n"
constexpr std::size_t max_rubbish = std::size_t{1} << 20U; ///< bytes without a single frame

// With each of `which` twice.
std::string doubled(std::string bytes, std::string_view which) {
    if (which.empty()) { return bytes; }
    std::string all;
    all.reserve(bytes.size());
    for (const char c : bytes) { all.append(which.find(c) == std::string_view::npos ? 1 : 2, c); }
    return all;
}
} // namespace

AgentLink::AgentLink(asio::io_context& io, AgentChannel channel)
    : io_(io), channel_(std::move(channel)), retry_(io), gap_(io) {}

void AgentLink::prepare() {
    if (channel_.kind == AgentChannel::Kind::served) { listener_.reset(listen_unix(channel_.socket)); }
}

void AgentLink::start(pid_t vmm) {
    vmm_ = vmm;
    started_ = true;
    tries_ = 0;
    connect();
}

void AgentLink::stop() {
    started_ = false;
    retry_.cancel();
    gap_.cancel();
    if (stream_) { stream_->close(); }
    stream_.reset();
    asking_ = false;
    decoder_ = {};
    skipped_before_ = 0;
}

int AgentLink::open_channel() const {
    switch (channel_.kind) {
    case AgentChannel::Kind::none: return -1;
    case AgentChannel::Kind::unix_stream:
    case AgentChannel::Kind::hybrid_vsock: return connect_unix(channel_.socket);
    case AgentChannel::Kind::terminal: return open_terminal_of(vmm_);
    case AgentChannel::Kind::served: return ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    return -1;
}

void AgentLink::connect() {
    const int fd = open_channel();
    if (fd < 0) {
        retry(++tries_ < quick_tries ? std::chrono::milliseconds(quick) : std::chrono::milliseconds(slow));
        return;
    }
    stream_ = Stream::make(io_, fd);
    open_stream();
    if (channel_.kind == AgentChannel::Kind::hybrid_vsock) {
        ask_for_port();
    } else {
        greet();
    }
}

void AgentLink::ask_for_port() {
    asking_ = true;
    answer_.clear();
    stream_->write("CONNECT " + std::to_string(channel_.port) + "\n");
    gap_.expires_after(answer_time);
    gap_.async_wait([this, stream = stream_](boost::system::error_code error) {
        if (!error && stream_ == stream && asking_) { lost(slow); }
    });
}

void AgentLink::answered(std::string_view bytes) {
    answer_.append(bytes);
    const std::size_t end = answer_.find('\n');
    if (end == std::string::npos) {
        if (answer_.size() > max_answer) { lost(slow); }
        return;
    }
    if (!answer_.starts_with("OK ")) { return lost(slow); }
    const std::string rest = answer_.substr(end + 1);
    gap_.cancel();
    asking_ = false;
    const auto stream = stream_;
    if (!rest.empty()) { received(rest); }
    if (stream_ == stream) { greet(); }
}

void AgentLink::greet() {
    // The guest may have said hello before anybody listened, and QEMU drops what nobody takes.
    send(wire::Type::ping, 0, {});
    if (on_connected) { on_connected(); }
}

void AgentLink::resume(const AgentHandover& handover, pid_t vmm) {
    vmm_ = vmm;
    started_ = true;
    if (handover.socket < 0) {
        retry(quick);
        return;
    }
    stream_ = Stream::resume(io_, handover.socket, handover.unsent.bytes);
    decoder_.feed(handover.partial.bytes);
    open_stream();
    await_rest();
}

AgentHandover AgentLink::hand_over() const {
    if (!connected()) { return {}; } // what is only being asked for is asked for again
    return {stream_->descriptor(), {std::string(stream_->unwritten())}, {decoder_.unread()}};
}

void AgentLink::open_stream() {
    stream_->on_data = [this](std::string_view bytes) {
        if (asking_) {
            answered(bytes);
        } else {
            received(bytes);
        }
    };
    stream_->on_end = [this] { lost(slow); };
    stream_->on_written = [this] {
        if (on_written) { on_written(); }
    };
    stream_->read(wanted_);
}

void AgentLink::retry(std::chrono::milliseconds after) {
    retry_.expires_after(after);
    retry_.async_wait([this](boost::system::error_code error) {
        if (!error && started_ && !stream_) { connect(); }
    });
}

void AgentLink::lost(std::chrono::milliseconds retry_after) {
    if (stream_) { stream_->close(); }
    stream_.reset();
    gap_.cancel();
    decoder_ = {};
    skipped_before_ = 0;
    if (started_) { retry(retry_after); }
    if (!std::exchange(asking_, false) && on_lost) { on_lost(); }
}

void AgentLink::received(std::string_view bytes) {
    const auto stream = stream_;
    decoder_.feed(bytes);
    while (stream_ == stream) {
        const auto frame = decoder_.next();
        if (!frame) { break; }
        skipped_before_ = decoder_.skipped();
        if (on_frame) { on_frame(*frame); }
    }
    if (stream_ != stream || !stream_) { return; }
    if (decoder_.skipped() - skipped_before_ > max_rubbish) {
        lost(punished);
        return;
    }
    await_rest();
}

void AgentLink::await_rest() {
    gap_.cancel();
    if (!decoder_.partial()) { return; }
    gap_.expires_after(std::chrono::milliseconds(wire::frame_gap_ms));
    gap_.async_wait([this, stream = stream_](boost::system::error_code error) {
        // Not while frames aren't wanted: then it is us who keep the rest waiting.
        if (error || stream_ != stream || !wanted_) { return; }
        decoder_.give_up();
        received({});
    });
}

void AgentLink::send(wire::Type type, std::uint32_t stream, std::string_view payload) {
    if (connected()) { stream_->write(doubled(wire::encode(type, stream, payload), channel_.doubled)); }
}

void AgentLink::read(bool wanted) {
    if (wanted_ == wanted) { return; }
    wanted_ = wanted;
    if (stream_) { stream_->read(wanted); }
}

void AgentLink::drain() {
    const auto stream = stream_;
    if (stream) { stream->drain(); }
}

} // namespace microvmc::supervisor
