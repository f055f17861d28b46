#include "runtime/machine_connection.h"

#include "runtime/error.h"
#include "runtime/launch.h"
#include "runtime/machine.h"
#include "runtime/process.h"
#include "runtime/supervisor/cgroup.h"
#include "runtime/supervisor/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <optional>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>

namespace microvmc::machine {

namespace {

using namespace std::chrono_literals;
constexpr auto step = 2ms;
constexpr auto before_cgroup_kill = 300ms; ///< a new supervisor listens long before

// A child that doesn't die with its supervisor (it is a grandchild) still holds the lock: its cgroup goes. Also removes
// the cgroup of a machine that is dead.
void kill_recorded_cgroup(const std::string& runtime_dir) {
    const Fd fd(::open((runtime_dir + "/" + supervisor::cgroup_name).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    std::array<char, 4096> text{};
    const ssize_t count = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
    const std::string path(text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (path.starts_with('/') && path.find("/microvmc-") != std::string::npos) { supervisor::kill_cgroup(path); }
}

/// Calls `look` until it gives something, in steps; what stays of a killed machine is killed on the way.
Fd wait_for(const std::string& runtime_dir, const std::function<std::optional<Fd>()>& look) {
    const auto since = Clock::now();
    bool killed = false;
    for (;;) {
        if (auto found = look()) { return std::move(*found); }
        const auto waited = Clock::now() - since;
        if (waited > patience) {
            throw TimeoutError("processes of a machine whose supervisor is gone don't die: " + lock_path(runtime_dir) +
                                   " is still held",
                               "`fuser -v " + lock_path(runtime_dir) + "` shows them");
        }
        if (waited > before_cgroup_kill && !killed) {
            killed = true;
            kill_recorded_cgroup(runtime_dir);
        }
        std::this_thread::sleep_for(step);
    }
}

void remove_recorded_taps(const std::string& runtime_dir) {
    try {
        const Launch launch = read_launch(runtime_dir);
        for (const Tap& tap : launch.taps) { remove_tap(tap); }
        for (const auto& argv : launch.release) { run_program(argv); }
    } catch (const Error&) {
        // No description, no taps. One that stays is refused by name when the machine is started again.
    }
}

} // namespace

std::string lock_path(const std::string& runtime_dir) {
    return runtime_dir + "/" + supervisor::lock_name;
}

int left_until(Clock::time_point deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000));
}

Fd connect_control(const std::string& runtime_dir, Clock::time_point deadline) {
    const std::string path = runtime_dir + "/" + supervisor::control_name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        throw Error("the socket's path is longer than " + std::to_string(sizeof(address.sun_path) - 1) +
                        " bytes: " + path,
                    "use a shorter runtime directory or project name");
    }
    path.copy(address.sun_path, path.size());
    for (;;) {
        Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!fd) { throw Error(std::string("can't make a socket: ") + std::strerror(errno)); }
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) { return fd; }
        switch (errno) {
        case ENOENT:
        case ENOTDIR:
        case ECONNREFUSED: return Fd();
        case EAGAIN: // its backlog is full
        case EINTR: break;
        default: throw Error("can't connect to " + path + ": " + std::strerror(errno));
        }
        if (Clock::now() >= deadline) { throw TimeoutError("the supervisor behind " + path + " takes no connections"); }
        std::this_thread::sleep_for(step);
    }
}

Fd find_supervisor(const std::string& runtime_dir) {
    return wait_for(runtime_dir, [&runtime_dir]() -> std::optional<Fd> {
        Fd connection = connect_control(runtime_dir, Clock::now() + patience);
        if (connection || !is_locked(runtime_dir)) { return connection; }
        return std::nullopt;
    });
}

Fd lock_machine(const std::string& runtime_dir) {
    const std::string path = lock_path(runtime_dir);
    Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) { throw Error("can't open " + path + ": " + std::strerror(errno)); }
    return wait_for(runtime_dir, [&]() -> std::optional<Fd> {
        if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) { return std::move(lock); }
        // One that was just killed may still take a connection, but doesn't answer.
        const Fd connection = connect_control(runtime_dir, Clock::now() + patience);
        const auto closed = Answer::Kind::closed;
        if (connection && request(connection, {{"op", "status"}}, Clock::now() + patience).kind != closed) {
            throw TimeoutError("the machine runs already: " + path + " is held by its supervisor");
        }
        return std::nullopt;
    });
}

bool await_unlocked(const std::string& runtime_dir, Clock::time_point deadline) {
    while (is_locked(runtime_dir)) {
        if (Clock::now() >= deadline) { return false; }
        std::this_thread::sleep_for(step);
    }
    return true;
}

void remove_leftovers(const std::string& runtime_dir) {
    kill_recorded_cgroup(runtime_dir);
    remove_recorded_taps(runtime_dir);
    DIR* const entries = ::opendir(runtime_dir.c_str());
    if (entries == nullptr) { return; }
    while (const dirent* entry = ::readdir(entries)) {
        const std::string_view name = entry->d_name;
        struct stat status {};
        const bool socket =
            ::fstatat(::dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode);
        if (socket || name == supervisor::launch_name || name == supervisor::cgroup_name ||
            (S_ISREG(status.st_mode) && name.ends_with(".part"))) {
            ::unlinkat(::dirfd(entries), entry->d_name, 0);
        }
    }
    ::closedir(entries);
}

Answer request(const Fd& connection, const nlohmann::json& json, Clock::time_point deadline) {
    const std::string line = json.dump() + "\n";
    std::string_view unsent = line;
    Answer answer;
    std::string text;
    std::array<char, 16384> buffer{};
    for (;;) {
        pollfd wait{connection.get(), static_cast<short>(unsent.empty() ? POLLIN : POLLIN | POLLOUT), 0};
        const int ready = ::poll(&wait, 1, left_until(deadline));
        if (ready < 0 && errno == EINTR) { continue; }
        if (ready <= 0) {
            answer.kind = Answer::Kind::timed_out;
            return answer;
        }
        if (!unsent.empty() && (wait.revents & POLLOUT) != 0) {
            const ssize_t count = ::send(connection.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL);
            if (count > 0) { unsent.remove_prefix(static_cast<std::size_t>(count)); }
            if (count < 0 && errno != EAGAIN && errno != EINTR) { unsent = {}; } // there may be an answer all the same
        }
        if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) == 0) { continue; }
        const ssize_t count = ::recv(connection.get(), buffer.data(), buffer.size(), 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) { continue; }
        if (count <= 0 || text.size() > supervisor::max_answer) { return answer; }
        text.append(buffer.data(), static_cast<std::size_t>(count));
        const std::size_t end = text.find('\n');
        if (end == std::string::npos) { continue; }
        answer.kind = Answer::Kind::answered;
        answer.json =
            nlohmann::json::parse(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
        answer.rest = text.substr(end + 1);
        if (!answer.json.is_object()) { throw Error("the supervisor's answer is not JSON: " + text.substr(0, 100)); }
        if (const auto error = answer.json.find("error"); error != answer.json.end() && error->is_string()) {
            throw Error(error->get<std::string>());
        }
        return answer;
    }
}

Answer request_now(const Fd& connection, const nlohmann::json& json) {
    Answer answer = request(connection, json, Clock::now() + patience);
    switch (answer.kind) {
    case Answer::Kind::answered: return answer;
    case Answer::Kind::closed: throw Error("the machine's supervisor ended before it answered", "try again");
    case Answer::Kind::timed_out: break;
    }
    throw TimeoutError("the machine's supervisor doesn't answer", "`microvmc stop --kill` ends it with its machine");
}

} // namespace microvmc::machine
