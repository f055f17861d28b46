#include "runtime/supervisor/reexec.h"

#include "runtime/error.h"
#include "runtime/supervisor/spawn.h"
#include "runtime/supervisor/text.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace microvmc::supervisor {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto trial_time = std::chrono::seconds(3); ///< it takes milliseconds; the machine's console waits meanwhile
constexpr auto exit_time = std::chrono::milliseconds(500); ///< from its last word to its end
constexpr std::size_t max_words = 4096;

void keep_open(const std::vector<int>& descriptors, bool keep) {
    for (const int descriptor : descriptors) { ::fcntl(descriptor, F_SETFD, keep ? 0 : FD_CLOEXEC); }
}

/// What is executed, with which arguments and descriptors.
struct Replacement {
    int program = -1;
    std::vector<std::string> argv;
    std::vector<int> descriptors;
};

// Returns when it can't be executed. The file itself, not its name: what was tried is what is executed.
void execute(const Replacement& replacement) {
    std::vector<char*> argv;
    for (const std::string& arg : replacement.argv) { argv.push_back(const_cast<char*>(arg.c_str())); }
    argv.push_back(nullptr);
    keep_open(replacement.descriptors, true);
    ::syscall(SYS_execveat, replacement.program, "", argv.data(), environ, AT_EMPTY_PATH);
    const int error = errno;
    keep_open(replacement.descriptors, false);
    errno = error;
}

[[noreturn]] void try_out(const Replacement& replacement, pid_t parent, int words) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) { ::_exit(1); }
    // Handlers write to a pipe that is shared with the supervisor. What is blocked stays so.
    for (int number = 1; number < NSIG; ++number) {
        if (number != SIGPIPE && number != SIGHUP) { ::signal(number, SIG_DFL); }
    }
    ::dup2(words, 1);
    ::dup2(words, 2);
    Replacement trial = replacement;
    trial.argv.emplace_back("--trial");
    execute(trial);
    const std::string why = std::string("it can't be executed: ") + std::strerror(errno);
    [[maybe_unused]] const ssize_t ignored = ::write(2, why.data(), why.size());
    ::_exit(1);
}

// All that it says until it ends; false when it doesn't in time.
bool hear(int fd, std::string& words) {
    const auto deadline = Clock::now() + trial_time;
    std::array<char, 1024> buffer{};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd wait{fd, POLLIN, 0};
        const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
        if (ready < 0 && errno == EINTR) { continue; }
        if (ready <= 0) { return false; }
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return true; }
        if (words.size() < max_words) { words.append(buffer.data(), static_cast<std::size_t>(count)); }
    }
}

// False when it had to be killed.
bool reap_in_time(pid_t pid, int& status, std::chrono::milliseconds time) {
    for (const auto deadline = Clock::now() + time; Clock::now() < deadline;) {
        if (::waitpid(pid, &status, WNOHANG) == pid) { return true; }
        const timespec pause{0, 1'000'000};
        ::nanosleep(&pause, nullptr);
    }
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return false;
}

// Why it can't take over; empty: it can.
std::string trial_of(const Replacement& replacement) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) { return std::string("can't make a pipe: ") + std::strerror(errno); }
    const Fd heard(pipe[0]);
    Fd said(pipe[1]);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) { try_out(replacement, parent, said.get()); }
    if (pid < 0) { return std::string("can't fork: ") + std::strerror(errno); }
    said.reset();
    std::string words;
    bool ended = hear(heard.get(), words);
    int status = 0;
    if (!reap_in_time(pid, status, ended ? exit_time : std::chrono::milliseconds(0))) { ended = false; }
    if (!ended) { return "it was tried and didn't end within 3s"; }
    if (status == 0 && words == takes_over) { return {}; }
    const std::string lines = last_lines(words, 3);
    return "it was tried and " + describe_wait_status(status) + (lines.empty() ? "" : ": ") + lines;
}

} // namespace

std::string reexec(const std::string& program, const Handover& handover) {
    const Fd file(::open(program.c_str(), O_PATH | O_CLOEXEC));
    if (!file) { return std::string("it can't be opened: ") + std::strerror(errno); }
    Fd state;
    try {
        state = write_handover(handover);
    } catch (const Error& error) { return error.what(); }
    Replacement replacement{
        file.get(), {program, handover.launch.runtime_dir, "--resume", std::to_string(state.get())}, {}};
    replacement.descriptors = descriptors_of(handover);
    replacement.descriptors.push_back(state.get());
    if (const std::string why = trial_of(replacement); !why.empty()) { return why; }
    execute(replacement);
    return std::string("it can't be executed: ") + std::strerror(errno);
}

} // namespace microvmc::supervisor
