#include "testkit/typing.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/machine_connection.h"
#include "runtime/machine_relay.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

namespace microvmc::testkit {

namespace {

constexpr std::size_t queue = std::size_t{64} * 1024;
constexpr std::size_t answer_limit = std::size_t{16} << 20U; ///< as long as a log is before it is moved (supervisor)
constexpr int look_again_ms = 20;

/// Whether the supervisor has read all that was sent: it gives up what it hasn't when its client goes; unix(7).
bool all_read(int fd) {
    int left = 0;
    return ::ioctl(fd, SIOCOUTQ, &left) != 0 || left == 0;
}

/// True when all of it was taken by then.
bool send(const Fd& connection, std::string_view text, std::int64_t times, Clock::time_point deadline) {
    machine::Outlet typed(connection.get(), true);
    std::array<char, 8192> ignored{}; // the log has it
    for (;;) {
        while (times > 0 && typed.pending() < queue) {
            typed.add(text);
            --times;
        }
        const bool sent = times <= 0 && typed.pending() == 0;
        if (sent && all_read(connection.get())) { return true; }
        if (Clock::now() >= deadline) { return false; }
        std::array<pollfd, 2> waits{{{connection.get(), POLLIN, 0}, {typed.poll_fd(), POLLOUT, 0}}};
        const int left = machine::left_until(deadline);
        if (::poll(waits.data(), waits.size(), sent ? std::min(left, look_again_ms) : left) < 0 && errno != EINTR) {
            return false;
        }
        if (waits[0].revents != 0 && machine::read_some(connection.get(), ignored.data(), ignored.size()) == 0) {
            return false;
        }
        if (waits[1].revents != 0 && !typed.flush()) { return false; }
    }
}

/// The log from `from` on.
std::string read_from(const std::string& path, std::size_t from) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    std::array<char, 65536> buffer{};
    while (fd && text.size() < answer_limit) {
        const ssize_t count = ::pread(fd.get(), buffer.data(), buffer.size(), static_cast<off_t>(from + text.size()));
        if (count <= 0) { break; }
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
}

} // namespace

Attempt heard(const std::string& name, const Scene& scene) {
    const std::string log = scene.machines.vm(name).state_dir + "/console.log";
    std::size_t& from = scene.machines.heard(name);
    if (console_size(scene.machines.vm(name)) < from) { from = 0; } // it was moved to console.log.1
    Attempt attempt;
    attempt.answer.emplace();
    attempt.answer->bytes = read_from(log, from);
    attempt.heard_until = from + attempt.answer->bytes.size();
    return attempt;
}

Attempt type(const std::string& name, const std::string& text, std::int64_t times, const Scene& scene,
             Clock::time_point deadline) {
    if (text.empty()) { return heard(name, scene); }
    const auto gone = [&](Outcome otherwise, std::string message) {
        const auto verdict = scene.machines.ended(name);
        return Attempt{.answer = {},
                       .verdict = verdict.value_or(Verdict{otherwise, std::move(message)}),
                       .again = false,
                       .heard_until = 0};
    };
    try {
        const Fd connection = machine::find_supervisor(scene.machines.vm(name).runtime_dir);
        if (!connection) { return gone(Outcome::wrong, fmt::format("{} doesn't run", name)); }
        machine::request_now(connection, {{"op", "console"}, {"history", false}});
        if (!send(connection, text, times, deadline)) {
            return gone(Outcome::hang, fmt::format("the console of {} didn't take what was typed", name));
        }
    } catch (const Error& error) { return gone(Outcome::error, printable(error.what())); }
    return heard(name, scene);
}

} // namespace microvmc::testkit
