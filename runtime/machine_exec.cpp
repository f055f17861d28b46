#include "runtime/machine.h"

#include "runtime/error.h"
#include "runtime/guest/wire.h"
#include "runtime/machine_connection.h"
#include "runtime/machine_relay.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <string_view>
#include <sys/ioctl.h>

namespace microvmc {

namespace {

using namespace std::chrono_literals;
using machine::Clock;

constexpr std::size_t queue = std::size_t{64} * 1024;
constexpr std::uint32_t stream = 1;
constexpr int impatient = 3; ///< signals within `impatience` that end us, whatever the guest does
constexpr auto impatience = 2s;

winsize size_of(const Streams& streams) {
    winsize size{24, 80, 0, 0};
    for (const int fd : {streams.in, streams.out, streams.err}) {
        winsize found{};
        if (::ioctl(fd, TIOCGWINSZ, &found) == 0 && found.ws_row != 0) { return found; }
    }
    return size;
}

/// One command: what is on its way, and how far it is.
class Relay {
public:
    Relay(const Fd& connection, const ExecRequest& request, Streams streams)
        : connection_(connection), tty_(request.tty), streams_(streams), to_guest_(connection.get(), true),
          out_(streams.out, false), err_(streams.err, false) {}

    void take(std::string_view bytes) {
        decoder_.feed(bytes);
        while (const auto frame = decoder_.next()) { take(*frame); }
    }

    int run() {
        machine::Signals signals;
        const machine::RawTerminal raw(tty_ ? streams_.in : -1);
        if (tty_) { send_size(); }
        while (!done()) {
            const bool may_read = out_.pending() < queue && err_.pending() < queue;
            std::array<pollfd, 6> waits{{
                {signals.fd(), POLLIN, 0},
                {may_type() ? streams_.in : -1, POLLIN, 0},
                {open_ && may_read ? connection_.get() : -1, POLLIN, 0},
                {out_.poll_fd(), POLLOUT, 0},
                {err_.poll_fd(), POLLOUT, 0},
                {open_ ? to_guest_.poll_fd() : -1, POLLOUT, 0},
            }};
            if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) { break; }
            if (waits[0].revents != 0) {
                for (int number = 0; (number = signals.next()) != 0;) {
                    if (signalled(number)) { return 128 + number; }
                }
            }
            if (waits[1].revents != 0) { type(); }
            if (waits[2].revents != 0) { receive(); }
            const bool heard = (waits[3].revents == 0 || out_.flush()) && (waits[4].revents == 0 || err_.flush());
            if (!heard) { return 128 + SIGPIPE; } // as it would end a command here; the guest's gets SIGHUP
            if (waits[5].revents != 0 && !to_guest_.flush()) { input_ = false; }
        }
        if (!status_) { throw Error("the machine ended before the command did"); }
        return *status_;
    }

private:
    [[nodiscard]] bool done() const { return (status_ || !open_) && out_.pending() == 0 && err_.pending() == 0; }
    [[nodiscard]] bool may_type() const {
        return input_ && open_ && to_guest_.pending() < queue && unconfirmed_ + buffer_.size() <= wire::input_window;
    }
    void send(wire::Type type, std::string_view payload) { to_guest_.add(wire::encode(type, stream, payload)); }
    void send_size() {
        const winsize size = size_of(streams_);
        send(wire::Type::resize, wire::join_fields({std::to_string(size.ws_row), std::to_string(size.ws_col)}));
    }

    void take(const wire::Frame& frame) {
        if (frame.type == wire::Type::output) {
            out_.add(frame.payload);
        } else if (frame.type == wire::Type::error) {
            err_.add(frame.payload);
        } else if (frame.type == wire::Type::taken) {
            const auto fields = wire::split_fields(frame.payload);
            const auto count = fields.empty() ? std::nullopt : wire::parse_number<std::size_t>(fields[0]);
            unconfirmed_ -= std::min(unconfirmed_, count.value_or(0));
        } else if (frame.type == wire::Type::exit) {
            const auto fields = wire::split_fields(frame.payload);
            const auto status = fields.empty() ? std::nullopt : wire::parse_number<int>(fields[0]);
            status_ = status.value_or(255) & 0xff;
            open_ = false;
        }
    }

    void type() {
        const ssize_t count = machine::read_some(streams_.in, buffer_.data(), buffer_.size());
        if (count < 0) { return; }
        send(wire::Type::input, {buffer_.data(), static_cast<std::size_t>(count)}); // empty: the end
        unconfirmed_ += static_cast<std::size_t>(count);
        input_ = count != 0;
    }

    void receive() {
        const ssize_t count = machine::read_some(connection_.get(), buffer_.data(), buffer_.size());
        if (count > 0) { take({buffer_.data(), static_cast<std::size_t>(count)}); }
        if (count == 0) { open_ = false; }
    }

    /// True when it ends us.
    bool signalled(int number) {
        if (number == SIGWINCH) {
            if (tty_) { send_size(); }
            return false;
        }
        if (tty_) { return true; } // keys are bytes there: this one is for us
        send(wire::Type::signal, wire::join_fields({std::to_string(number)}));
        const auto now = Clock::now();
        signals_ = now - last_signal_ < impatience ? signals_ + 1 : 1;
        last_signal_ = now;
        return signals_ >= impatient;
    }

    const Fd& connection_;
    bool tty_;
    Streams streams_;
    machine::Outlet to_guest_;
    machine::Outlet out_;
    machine::Outlet err_;
    wire::Decoder decoder_;
    std::size_t unconfirmed_ = 0;
    bool input_ = true;
    bool open_ = true;
    std::optional<int> status_;
    int signals_ = 0;
    Clock::time_point last_signal_;
    std::array<char, 16384> buffer_{};
};

} // namespace

int exec_in_machine(const std::string& runtime_dir, const ExecRequest& request, Streams streams) {
    const Fd connection = machine::find_supervisor(runtime_dir);
    if (!connection) { throw Error("the machine doesn't run"); }
    nlohmann::json json = {
        {"op", "exec"}, {"argv", request.argv}, {"env", request.env}, {"workdir", request.workdir}, {"tty", nullptr}};
    if (request.tty) {
        const winsize size = size_of(streams);
        json["tty"] = {{"rows", size.ws_row}, {"columns", size.ws_col}};
    }
    const machine::Answer answer = machine::request_now(connection, json);
    Relay relay(connection, request, streams);
    relay.take(answer.rest);
    return relay.run();
}

} // namespace microvmc
