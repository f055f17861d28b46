#include "runtime/machine.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"
#include "runtime/machine_relay.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <string_view>

namespace microvmc {

namespace {
constexpr std::size_t queue = std::size_t{64} * 1024;
} // namespace

ConsoleEnd attach_console(const std::string& runtime_dir, bool history, char detach_key, Streams streams) {
    const Fd connection = machine::find_supervisor(runtime_dir);
    if (!connection) {
        throw Error("the machine doesn't run, so that it has no console", "see its log: `microvmc logs`");
    }
    const machine::Answer answer = machine::request_now(connection, {{"op", "console"}, {"history", history}});

    machine::Signals signals;
    const machine::RawTerminal raw(streams.in);
    const bool terminal = ::isatty(streams.in) != 0;
    machine::Outlet out(streams.out, false);
    machine::Outlet typed(connection.get(), true);
    out.add(answer.rest);
    bool input = true;
    bool open = true;
    std::array<char, 8192> buffer{};
    while (open || out.pending() != 0) {
        std::array<pollfd, 5> waits{{
            {signals.fd(), POLLIN, 0},
            {input && open && typed.pending() < queue ? streams.in : -1, POLLIN, 0},
            {open && out.pending() < queue ? connection.get() : -1, POLLIN, 0},
            {out.poll_fd(), POLLOUT, 0},
            {open ? typed.poll_fd() : -1, POLLOUT, 0},
        }};
        if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) { break; }
        if (waits[0].revents != 0) {
            const int number = signals.next();
            if (number != 0 && number != SIGWINCH) { return ConsoleEnd::detached; }
        }
        if (waits[1].revents != 0) {
            const ssize_t count = machine::read_some(streams.in, buffer.data(), buffer.size());
            std::string_view bytes(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
            const std::size_t key = terminal ? bytes.find(detach_key) : std::string_view::npos;
            if (key != std::string_view::npos) {
                typed.add(bytes.substr(0, key));
                typed.flush();
                return ConsoleEnd::detached;
            }
            typed.add(bytes);
            input = count != 0;
        }
        if (waits[2].revents != 0) {
            const ssize_t count = machine::read_some(connection.get(), buffer.data(), buffer.size());
            if (count > 0) { out.add({buffer.data(), static_cast<std::size_t>(count)}); }
            open = count != 0;
        }
        if (waits[3].revents != 0 && !out.flush()) { return ConsoleEnd::detached; }
        if (waits[4].revents != 0 && !typed.flush()) { input = false; }
    }
    return ConsoleEnd::machine_ended;
}

} // namespace microvmc
