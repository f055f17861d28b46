#include "runtime/machine.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"
#include "runtime/supervisor/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <vector>

extern char** environ; // NOLINT(readability-redundant-declaration): unistd.h has it only with _GNU_SOURCE

namespace microvmc {

namespace {

using namespace std::chrono_literals;
using machine::Clock;

/// Ours, less the variables that credentials come from: no process of the machine needs them.
std::vector<char*> environment_without_secrets(const Launch& launch) {
    std::vector<std::string> secret;
    if (launch.plan.is_object() && launch.plan.contains("credentials")) {
        for (const auto& credential : launch.plan["credentials"]) {
            const std::string name = credential.value("env", "");
            if (!name.empty()) { secret.push_back(name + "="); }
        }
    }
    std::vector<char*> kept;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (std::ranges::none_of(secret, [&](const std::string& name) { return text.starts_with(name); })) {
            kept.push_back(*entry);
        }
    }
    kept.push_back(nullptr);
    return kept;
}

/// A session of its own, no blocked signals; 3 and up only what is named. posix_spawn, not fork: the caller may have
/// threads, and be large.
pid_t spawn_supervisor(const std::string& program, const Launch& launch, int notify, int lock, int credentials) {
    std::vector<std::string> words{program,     launch.runtime_dir,  "--notify-fd", std::to_string(notify),
                                   "--lock-fd", std::to_string(lock)};
    if (credentials >= 0) { words.insert(words.end(), {"--credentials-fd", std::to_string(credentials)}); }
    std::vector<char*> argv;
    for (std::string& word : words) { argv.push_back(word.data()); }
    argv.push_back(nullptr);
    std::vector<char*> environment = environment_without_secrets(launch);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions, 0, 1);
    ::posix_spawn_file_actions_adddup2(&actions, notify, notify); // clears close-on-exec
    ::posix_spawn_file_actions_adddup2(&actions, lock, lock);
    if (credentials >= 0) { ::posix_spawn_file_actions_adddup2(&actions, credentials, credentials); }
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environment.data());
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) {
        throw Error("can't execute the supervisor " + program + ": " + std::strerror(error),
                    "install microvmc whole: its supervisor lies beside it or in libexec/microvmc");
    }
    return pid;
}

/// Packed in memory, without a name; not open when there are none.
Fd memory_file(const std::vector<supervisor::Credential>& credentials) {
    if (credentials.empty()) { return Fd(); }
    std::string packed = supervisor::pack_credentials(credentials);
    Fd fd(::memfd_create("microvmc-credentials", MFD_CLOEXEC));
    const bool written = fd && ::write(fd.get(), packed.data(), packed.size()) == static_cast<ssize_t>(packed.size());
    const int error = errno;
    ::explicit_bzero(packed.data(), packed.size());
    if (!written) { throw Error(std::string("can't hand the credentials over: ") + std::strerror(error)); }
    return fd;
}

/// The line that it says, or what it said before it ended; nothing when the time is up.
std::optional<std::string> read_line(int fd, Clock::time_point deadline) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        pollfd wait{fd, POLLIN, 0};
        const int ready = ::poll(&wait, 1, machine::left_until(deadline));
        if (ready < 0 && errno == EINTR) { continue; }
        if (ready <= 0) { return std::nullopt; }
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return text; }
        text.append(buffer.data(), static_cast<std::size_t>(count));
        if (text.find('\n') != std::string::npos) { return text; }
    }
}

/// How it ended, in words; it is awaited, but not for long.
std::string reap(pid_t pid) {
    for (const auto deadline = Clock::now() + machine::patience; Clock::now() < deadline;) {
        int status = 0;
        const pid_t ended = ::waitpid(pid, &status, WNOHANG);
        if (ended == pid && WIFSIGNALED(status)) { return "was killed by signal " + std::to_string(WTERMSIG(status)); }
        if (ended == pid) { return "exited with status " + std::to_string(WEXITSTATUS(status)); }
        if (ended < 0 && errno != EINTR) { break; }
        std::this_thread::sleep_for(1ms);
    }
    return "ended";
}

} // namespace

Started start_supervisor(const std::string& program, const Launch& launch,
                         const std::vector<supervisor::Credential>& credentials) {
    if (::mkdir(launch.runtime_dir.c_str(), 0700) != 0 && errno != EEXIST) {
        throw Error("can't make " + launch.runtime_dir + ": " + std::strerror(errno));
    }
    // The lock is handed to the supervisor: whoever has it writes machine.json, so that no two start at once.
    Fd lock = machine::lock_machine(launch.runtime_dir);
    machine::remove_leftovers(launch.runtime_dir);
    write_private_file(launch.runtime_dir + "/" + supervisor::launch_name, nlohmann::json(launch).dump(), false);
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        throw Error(std::string("can't make a pipe: ") + std::strerror(errno));
    }
    const Fd said(pipe[0]);
    Fd notify(pipe[1]);
    const Fd secrets = memory_file(credentials);
    const pid_t pid = spawn_supervisor(program, launch, notify.get(), lock.get(), secrets.get());
    notify.reset();
    lock.reset();

    auto time = std::chrono::milliseconds(launch.startup_timeout_ms) + machine::patience;
    if (!launch.pre_start.empty()) { time += std::chrono::milliseconds(launch.startup_timeout_ms); }
    if (!launch.post_stop.empty()) { time += std::chrono::milliseconds(supervisor::post_stop_ms); }
    const auto line = read_line(said.get(), Clock::now() + time);
    if (!line) {
        ::kill(pid, SIGKILL); // and with it what it started
        reap(pid);
        throw TimeoutError("the supervisor of " + launch.vm + " did not start its machine within " +
                           std::to_string(time.count() / 1000) + "s; killed");
    }
    const auto json = nlohmann::json::parse(*line, nullptr, false);
    if (json.is_object() && json.contains("vmm") && json["vmm"].is_number_integer()) {
        return {pid, json["vmm"].get<pid_t>()};
    }
    const std::string how = reap(pid);
    if (json.is_object() && json.contains("error") && json["error"].is_string()) {
        throw Error(launch.vm + ": " + json["error"].get<std::string>(), "the whole log is " + launch.vmm_log);
    }
    throw Error("the supervisor of " + launch.vm + " (" + program + ") " + how + " before it said anything");
}

} // namespace microvmc
