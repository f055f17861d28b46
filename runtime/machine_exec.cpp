#include "runtime/machine.h"

#include "runtime/error.h"
#include "runtime/machine_command.h"
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
constexpr int impatient = 3; ///< signals within `impatience` that end us, whatever the guest does
constexpr auto impatience = 2s;
constexpr const char* ended_first = "the machine ended before the command did";

winsize size_of(const Streams& streams) {
    winsize size{24, 80, 0, 0};
    for (const int fd : {streams.in, streams.out, streams.err}) {
        winsize found{};
        if (::ioctl(fd, TIOCGWINSZ, &found) == 0 && found.ws_row != 0) { return found; }
    }
    return size;
}

nlohmann::json tty_of(const ExecRequest& request, const Streams& streams) {
    if (!request.tty) { return nullptr; }
    const winsize size = size_of(streams);
    return {{"rows", size.ws_row}, {"columns", size.ws_col}};
}

/// One command, between its guest and a person's streams.
class Relay {
public:
    Relay(const std::string& runtime_dir, const ExecRequest& request, Streams streams)
        : tty_(request.tty), streams_(streams), out_(streams.out, false), err_(streams.err, false),
          command_(
              runtime_dir, request, tty_of(request, streams), [this](std::string_view bytes) { out_.add(bytes); },
              [this](std::string_view bytes) { err_.add(bytes); }) {}

    int run() {
        machine::Signals signals;
        const machine::RawTerminal raw(tty_ ? streams_.in : -1);
        if (tty_) { send_size(); }
        while (!done()) {
            const bool may_read = out_.pending() < queue && err_.pending() < queue;
            std::array<pollfd, 6> waits{{
                {signals.fd(), POLLIN, 0},
                {input_ && command_.takes_input() ? streams_.in : -1, POLLIN, 0},
                {command_.open() && may_read ? command_.fd() : -1, POLLIN, 0},
                {out_.poll_fd(), POLLOUT, 0},
                {err_.poll_fd(), POLLOUT, 0},
                {command_.open() ? command_.outgoing().poll_fd() : -1, POLLOUT, 0},
            }};
            if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) { break; }
            if (waits[0].revents != 0) {
                for (int number = 0; (number = signals.next()) != 0;) {
                    if (signalled(number)) { return 128 + number; }
                }
            }
            if (waits[1].revents != 0) { type(); }
            if (waits[2].revents != 0) { command_.receive(); }
            const bool heard = (waits[3].revents == 0 || out_.flush()) && (waits[4].revents == 0 || err_.flush());
            if (!heard) { return 128 + SIGPIPE; } // as it would end a command here; the guest's gets SIGHUP
            if (waits[5].revents != 0 && !command_.outgoing().flush()) { input_ = false; }
        }
        if (!command_.status()) { throw Error(ended_first); }
        return *command_.status();
    }

private:
    [[nodiscard]] bool done() const { return !command_.open() && out_.pending() == 0 && err_.pending() == 0; }
    void send_size() {
        const winsize size = size_of(streams_);
        command_.send(wire::Type::resize,
                      wire::join_fields({std::to_string(size.ws_row), std::to_string(size.ws_col)}));
    }

    void type() {
        const ssize_t count = machine::read_some(streams_.in, buffer_.data(), buffer_.size());
        if (count < 0) { return; }
        command_.send_input({buffer_.data(), static_cast<std::size_t>(count)}); // empty: the end
        input_ = count != 0;
    }

    /// True when it ends us.
    bool signalled(int number) {
        if (number == SIGWINCH) {
            if (tty_) { send_size(); }
            return false;
        }
        if (tty_) { return true; } // keys are bytes there: this one is for us
        command_.send(wire::Type::signal, wire::join_fields({std::to_string(number)}));
        const auto now = Clock::now();
        signals_ = now - last_signal_ < impatience ? signals_ + 1 : 1;
        last_signal_ = now;
        return signals_ >= impatient;
    }

    bool tty_;
    Streams streams_;
    machine::Outlet out_;
    machine::Outlet err_;
    machine::GuestCommand command_;
    bool input_ = true;
    int signals_ = 0;
    Clock::time_point last_signal_;
    std::array<char, machine::GuestCommand::piece_size> buffer_{};
};

/// Keeps what fits; false when something was left out.
bool keep(std::string& text, std::string_view bytes, std::size_t limit) {
    const std::size_t room = limit - std::min(limit, text.size());
    text.append(bytes.substr(0, room));
    return bytes.size() <= room;
}

} // namespace

int exec_in_machine(const std::string& runtime_dir, const ExecRequest& request, Streams streams) {
    return Relay(runtime_dir, request, streams).run();
}

Ran run_in_machine(const std::string& runtime_dir, const ExecRequest& request, const CaptureOptions& options) {
    const auto deadline = Clock::now() + options.timeout;
    Ran ran;
    machine::GuestCommand command(
        runtime_dir, request, nullptr,
        [&](std::string_view bytes) { ran.truncated |= !keep(ran.out, bytes, options.output_limit); },
        [&](std::string_view bytes) { ran.truncated |= !keep(ran.err, bytes, options.output_limit); });
    std::string_view input = options.input;
    bool input_ended = false;
    while (command.open()) {
        while (!input_ended && command.takes_input()) {
            const std::string_view piece = input.substr(0, machine::GuestCommand::piece_size);
            command.send_input(piece); // empty: the end
            input.remove_prefix(piece.size());
            input_ended = piece.empty();
        }
        std::array<pollfd, 2> waits{{{command.fd(), POLLIN, 0}, {command.outgoing().poll_fd(), POLLOUT, 0}}};
        if (::poll(waits.data(), waits.size(), machine::left_until(deadline)) < 0 && errno != EINTR) { break; }
        if (waits[0].revents != 0) { command.receive(); }
        if (waits[1].revents != 0 && !command.outgoing().flush()) { input_ended = true; }
        if (command.open() && Clock::now() >= deadline) {
            ran.timed_out = true;
            ran.status = 128 + SIGHUP;
            return ran;
        }
    }
    if (!command.status()) { throw Error(ended_first); }
    ran.status = *command.status();
    return ran;
}

} // namespace microvmc
