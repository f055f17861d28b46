// microvmc-supervisor: one process a machine (protocol.h).
#include "runtime/error.h"
#include "runtime/supervisor/handover.h"
#include "runtime/supervisor/protocol.h"
#include "runtime/supervisor/reexec.h"
#include "runtime/supervisor/supervisor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace microvmc;
using namespace microvmc::supervisor;

struct Arguments {
    std::string runtime_dir;
    int notify = -1;
    int lock = -1;
    int credentials = -1; ///< what credentials.h packs
    int resume = -1;      ///< the handover
    bool trial = false;
};

std::optional<Arguments> parse(int argc, char** argv) {
    Arguments arguments;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--trial") {
            arguments.trial = true;
            continue;
        }
        int* const descriptor = word == "--notify-fd"        ? &arguments.notify
                                : word == "--lock-fd"        ? &arguments.lock
                                : word == "--credentials-fd" ? &arguments.credentials
                                : word == "--resume"         ? &arguments.resume
                                                             : nullptr;
        if (descriptor == nullptr) {
            if (!word.starts_with('/') || !arguments.runtime_dir.empty()) { return std::nullopt; }
            arguments.runtime_dir = word;
            continue;
        }
        if (++i == argc) { return std::nullopt; }
        const std::string_view number = argv[i];
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), *descriptor);
        if (error != std::errc() || end != number.data() + number.size() || *descriptor < 3) { return std::nullopt; }
    }
    if (arguments.runtime_dir.empty() || (arguments.trial && arguments.resume < 0)) { return std::nullopt; }
    return arguments;
}

void say(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(fd, text.data(), text.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return; }
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

/// Who started us hears of it once; else a terminal does.
void report(int& notify, const nlohmann::json& json) {
    const std::string line = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (notify >= 0) {
        say(notify, line);
        ::close(notify);
        notify = -1;
    } else if (json.contains("error")) {
        say(2, "microvmc-supervisor: " + json["error"].get<std::string>() + "\n");
    }
}

void close_range(int first, int last) {
    if (first <= last) { ::syscall(SYS_close_range, first, last, 0); } // Linux 5.9; before, strays stay open
}

/// Leaves whatever we were started from: its session, signals, descriptors and working directory.
void detach(const Arguments& arguments) {
    ::setsid();
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int number = 1; number < NSIG; ++number) { ::signal(number, SIG_DFL); }
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    std::array<int, 3> all{arguments.notify, arguments.lock, arguments.credentials};
    std::sort(all.begin(), all.end());
    int next = 3;
    for (const int kept : all) {
        if (kept < 0) { continue; }
        close_range(next, kept - 1);
        next = kept + 1;
        ::fcntl(kept, F_SETFD, FD_CLOEXEC);
    }
    close_range(next, INT32_MAX);
    // 0, 1 and 2 are open, so that nothing else gets these numbers; errors are shown until there is a log.
    for (int fd = 0; fd < 3; ++fd) {
        if (fd < 2 || ::fcntl(fd, F_GETFD) < 0) {
            const int null = ::open("/dev/null", O_RDWR);
            if (null >= 0 && null != fd) {
                ::dup2(null, fd);
                ::close(null);
            }
        }
    }
    ::umask(077);
    [[maybe_unused]] const int ignored = ::chdir("/"); // pins no mount
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);                // descendants of children stay ours
}

void name_process(const Launch& launch) {
    ::prctl(PR_SET_NAME, ("vm:" + launch.vm).substr(0, 15).c_str());
}

/// The lock, held from now on by us and by whoever inherits it; -1 when somebody else has it.
int take_lock(const Arguments& arguments) {
    const std::string path = arguments.runtime_dir + "/" + lock_name;
    if (arguments.lock >= 0) { return arguments.lock; }
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) { throw Error("can't open " + path + ": " + std::strerror(errno)); }
    // Who only looks whether it is held has it for an instant.
    for (int tries = 0; tries < 20; ++tries) {
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) { return fd; }
        ::usleep(5000);
    }
    ::close(fd);
    return -1;
}

std::vector<Credential> read_credentials(int fd) {
    if (fd < 0) { return {}; }
    std::string packed;
    std::array<char, 16384> buffer{};
    for (ssize_t count = 0;
         (count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(packed.size()))) > 0;) {
        packed.append(buffer.data(), static_cast<std::size_t>(count));
    }
    ::close(fd); // no child of ours has it
    auto credentials = unpack_credentials(packed);
    ::explicit_bzero(packed.data(), packed.size());
    if (!credentials) { throw Error("the credentials didn't come whole"); }
    return std::move(*credentials);
}

int supervise(const Arguments& arguments, int& notify) {
    const int lock = take_lock(arguments);
    if (lock < 0) {
        report(notify,
               error_answer("the machine runs already: " + arguments.runtime_dir + "/" + lock_name + " is held"));
        return exit_locked;
    }
    std::vector<Credential> credentials = read_credentials(arguments.credentials);
    Launch launch = read_launch(arguments.runtime_dir);
    if (launch.runtime_dir != arguments.runtime_dir) {
        throw Error(arguments.runtime_dir + "/" + launch_name + " is for " + launch.runtime_dir);
    }
    name_process(launch);
    // For hooks, which may serve many machines.
    ::setenv("MICROVMC_PROJECT", launch.project.c_str(), 1);
    ::setenv("MICROVMC_VM", launch.vm.c_str(), 1);
    const std::string log_path = launch.vmm_log;
    asio::io_context io(1);
    Supervisor supervisor(io, std::move(launch), lock, std::move(credentials));
    supervisor.on_started = [&notify](const nlohmann::json& json) { report(notify, json); };
    if (notify >= 0) {
        // Whoever waits for the end of our stderr must not wait for ours. Last words of the run-time library are kept.
        const int log = ::open(log_path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
        if (log >= 0) {
            ::dup2(log, 2);
            ::close(log);
        }
    }
    supervisor.start();
    io.run();
    return supervisor.start_failed() ? exit_failed : 0;
}

/// Goes on with a machine that an earlier program of this process started (reexec.h).
int resume(const Arguments& arguments) {
    ::fcntl(arguments.resume, F_SETFD, FD_CLOEXEC);
    const Handover handover = read_handover(arguments.resume);
    if (handover.launch.runtime_dir != arguments.runtime_dir) {
        throw Error("the handover is for " + handover.launch.runtime_dir);
    }
    asio::io_context io(1);
    Supervisor supervisor(io, handover);
    if (arguments.trial) {
        say(1, takes_over);
        ::_exit(0); // nothing may be undone: it is the other one's
    }
    ::close(arguments.resume);
    name_process(handover.launch);
    supervisor.go_on(handover);
    io.run();
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    auto arguments = parse(argc, argv);
    if (!arguments) {
        say(2, "usage: microvmc-supervisor RUNTIME_DIR [--notify-fd N] [--lock-fd N] [--credentials-fd N]\n");
        return exit_usage;
    }
    if (arguments->resume >= 0) {
        try {
            return resume(*arguments);
        } catch (const std::exception& error) {
            say(2, error.what() + std::string("\n"));
            return exit_failed;
        }
    }
    detach(*arguments);
    int notify = arguments->notify;
    try {
        return supervise(*arguments, notify);
    } catch (const std::exception& error) {
        report(notify, error_answer(error.what()));
        return exit_failed;
    }
}
