#include "runtime/process.h"

#include "runtime/error.h"
#include "runtime/fd.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char** environ; // NOLINT(readability-redundant-declaration): unistd.h has it only with _GNU_SOURCE

namespace microvmc {

namespace {

constexpr long long meanwhile_ms = 200; ///< RunOptions::meanwhile

// Neither posix_spawn nor Boost.Process 1.81 can arm the parent-death signal between fork and exec, so this forks.
// Between the two the child makes async-signal-safe calls alone, so that it may be done with several threads
// (signal-safety(7)).

[[noreturn]] void fail(const std::string& program, std::string_view what, int error) {
    throw Error(fmt::format("can't run {}: {}{}", program, what, std::strerror(error)));
}

struct Pipe {
    Fd read;
    Fd write;
};

Pipe make_pipe(const std::string& program) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) { fail(program, "", errno); }
    return {Fd(ends[0]), Fd(ends[1])};
}

/// A file that holds the input, so that nothing has to be fed while the program runs.
Fd make_input(const std::string& program, const std::string& input) {
    if (input.empty()) {
        Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!null) { fail(program, "/dev/null: ", errno); }
        return null;
    }
    Fd file(::memfd_create("input", MFD_CLOEXEC));
    if (!file) { fail(program, "", errno); }
    for (std::size_t done = 0; done < input.size();) {
        const ssize_t wrote = ::write(file.get(), input.data() + done, input.size() - done);
        if (wrote < 0 && errno != EINTR) { fail(program, "", errno); }
        if (wrote > 0) { done += static_cast<std::size_t>(wrote); }
    }
    ::lseek(file.get(), 0, SEEK_SET);
    return file;
}

struct Prepared {
    const char* const* argv;
    const char* const* env;
    const char* cwd; ///< null: ours
    const int* inherit;
    std::size_t inherit_count;
    int input, output, error, report;
    pid_t parent;
};

[[noreturn]] void become(const Prepared& prepared) {
    const auto give_up = [&prepared]() {
        const int error = errno;
        [[maybe_unused]] const ssize_t told = ::write(prepared.report, &error, sizeof error);
        ::_exit(127);
    };
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != prepared.parent) { ::_exit(127); } // it died before the signal was armed
    ::setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int number = 1; number < NSIG; ++number) { ::signal(number, SIG_DFL); }
    if (::dup2(prepared.input, STDIN_FILENO) < 0 || ::dup2(prepared.output, STDOUT_FILENO) < 0 ||
        ::dup2(prepared.error, STDERR_FILENO) < 0) {
        give_up();
    }
    if (::syscall(SYS_close_range, 3U, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) { give_up(); }
    for (std::size_t i = 0; i < prepared.inherit_count; ++i) {
        if (::fcntl(prepared.inherit[i], F_SETFD, 0) != 0) { give_up(); }
    }
    if (prepared.cwd != nullptr && ::chdir(prepared.cwd) != 0) { give_up(); }
    // They take char* for C's sake, and write nothing.
    environ = const_cast<char**>(prepared.env);
    ::execvp(prepared.argv[0], const_cast<char* const*>(prepared.argv));
    give_up();
    ::_exit(127);
}

/// Ours, with others above.
std::vector<std::string> environment(const std::map<std::string, std::string>& above) {
    std::vector<std::string> all;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!above.contains(std::string(text.substr(0, text.find('='))))) { all.emplace_back(text); }
    }
    for (const auto& [name, value] : above) { all.push_back(name + '=' + value); }
    return all;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
    std::vector<const char*> all;
    all.reserve(texts.size() + 1);
    for (const std::string& text : texts) { all.push_back(text.c_str()); }
    all.push_back(nullptr);
    return all;
}

/// Reads what is there; false at its end.
bool drain(int fd, std::string& kept, std::size_t limit, bool& truncated) {
    std::array<char, 16384> buffer{};
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) { return errno == EINTR || errno == EAGAIN; }
    const std::size_t length = static_cast<std::size_t>(got);
    const std::size_t room = std::min(limit - std::min(limit, kept.size()), length);
    kept.append(buffer.data(), room);
    truncated = truncated || room < length;
    return got != 0;
}

int wait_for(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

} // namespace

Ran run_program(const std::vector<std::string>& argv, const RunOptions& options) {
    if (argv.empty()) { throw Error("can't run an empty command"); }
    const std::string& program = argv.front();
    const std::vector<const char*> arguments = pointers(argv);
    const std::vector<std::string> variables = environment(options.env);
    const std::vector<const char*> env = pointers(variables);

    const Fd input = make_input(program, options.input);
    Pipe out = make_pipe(program);
    Pipe err = make_pipe(program);
    Pipe report = make_pipe(program);
    const Prepared prepared{
        .argv = arguments.data(),
        .env = env.data(),
        .cwd = options.cwd.empty() ? nullptr : options.cwd.c_str(),
        .inherit = options.inherit.data(),
        .inherit_count = options.inherit.size(),
        .input = input.get(),
        .output = out.write.get(),
        .error = err.write.get(),
        .report = report.write.get(),
        .parent = ::getpid(),
    };
    const auto deadline = std::chrono::steady_clock::now() + options.timeout;
    const pid_t child = ::fork();
    if (child < 0) { fail(program, "", errno); }
    if (child == 0) { become(prepared); }
    ::setpgid(child, child); // both sides, so that it holds before either goes on
    out.write.reset();
    err.write.reset();
    report.write.reset();

    int exec_error = 0;
    ssize_t told = 0;
    while ((told = ::read(report.read.get(), &exec_error, sizeof exec_error)) < 0 && errno == EINTR) {}
    if (told == sizeof exec_error) {
        wait_for(child);
        fail(program, "", exec_error);
    }

    Ran ran;
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (!process) {
        const int error = errno;
        ::kill(-child, SIGKILL);
        wait_for(child);
        fail(program, "", error);
    }
    ::fcntl(out.read.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(err.read.get(), F_SETFL, O_NONBLOCK);
    std::array<pollfd, 3> polled{pollfd{process.get(), POLLIN, 0}, pollfd{out.read.get(), POLLIN, 0},
                                 pollfd{err.read.get(), POLLIN, 0}};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            ran.timed_out = true;
            ::kill(-child, SIGKILL);
            break;
        }
        const long long most = options.meanwhile ? meanwhile_ms : INT_MAX;
        const int got = ::poll(polled.data(), polled.size(), static_cast<int>(std::min<long long>(left.count(), most)));
        if (got == 0 && options.meanwhile) { options.meanwhile(); }
        if (got <= 0) { continue; }
        // What the program had said when it ended is in the pipes by now. Their end isn't awaited: a process that it
        // left behind may hold them open for ever.
        const bool ended = polled[0].revents != 0;
        if (polled[1].fd >= 0 && polled[1].revents != 0 &&
            !drain(polled[1].fd, ran.out, options.output_limit, ran.truncated)) {
            polled[1].fd = -1;
        }
        if (polled[2].fd >= 0 && polled[2].revents != 0 &&
            !drain(polled[2].fd, ran.err, options.output_limit, ran.truncated)) {
            polled[2].fd = -1;
        }
        if (ended && polled[1].revents == 0 && polled[2].revents == 0) { break; }
    }
    ran.status = wait_for(child);
    return ran;
}

std::string last_words(const Ran& ran) {
    for (const std::string* said : {&ran.err, &ran.out}) {
        const std::size_t end = said->find_last_not_of(" \t\r\n");
        if (end == std::string::npos) { continue; }
        const std::size_t start = said->find_last_of('\n', end);
        const std::size_t first = start == std::string::npos ? 0 : start + 1;
        return said->substr(first, end + 1 - first);
    }
    return {};
}

} // namespace microvmc
