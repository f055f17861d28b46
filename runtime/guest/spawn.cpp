#include "runtime/guest/spawn.h"

#include "runtime/guest/copy.h"
#include "runtime/guest/exit_status.h"
#include "runtime/guest/system.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

void reset_signals() {
    for (int number = 1; number < NSIG; ++number) { signal(number, SIG_DFL); }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
}

void place_stdio(const Program& program) {
    // Copied out of the way first: a source may be one of the places.
    int sources[3] = {program.stdin_fd, program.stdout_fd, program.stderr_fd};
    for (int& source : sources) {
        source = source < 0 ? ::open("/dev/null", O_RDWR | O_CLOEXEC) : fcntl(source, F_DUPFD_CLOEXEC, 10);
    }
    for (int place = 0; place < 3; ++place) { dup2(sources[place], place); }
}

[[noreturn]] void run_child(const Program& program, int report) {
    setsid();
    reset_signals();
    place_stdio(program);
    if (program.terminal) { ioctl(STDIN_FILENO, TIOCSCTTY, 1); }
    std::vector<char*> argv;
    std::vector<char*> env;
    for (const auto& arg : program.argv) { argv.push_back(const_cast<char*>(arg.c_str())); }
    for (const auto& entry : program.env) { env.push_back(const_cast<char*>(entry.c_str())); }
    argv.push_back(nullptr);
    env.push_back(nullptr);
    const char* workdir = program.workdir.empty() ? "/" : program.workdir.c_str();
    std::string what = concat({"cannot change to the directory ", workdir});
    if (chdir(workdir) == 0) {
        if (program.built_in) {
            if (const auto status = copy::run(program.argv)) { _exit(*status); }
        }
        what = concat({"cannot run ", program.argv.front()});
        environ = env.data(); // execvp searches by its own PATH
        execvp(argv.front(), argv.data());
    }
    const int error_number = errno;
    if (report >= 0) {
        write_all(report, {reinterpret_cast<const char*>(&error_number), sizeof error_number});
    } else {
        say(with_errno({what}, error_number));
    }
    _exit(status_of_failed_exec(error_number));
}

} // namespace

pid_t spawn(const Program& program) {
    const pid_t pid = fork();
    if (pid == 0) { run_child(program, -1); }
    return pid;
}

int spawn_and_confirm(const Program& program, pid_t& pid) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) { return errno; }
    const Fd report(ends[0]);
    Fd child_end(ends[1]);
    pid = fork();
    if (pid < 0) { return errno; }
    if (pid == 0) { run_child(program, child_end.get()); }
    child_end.reset();
    int error_number = 0;
    if (::read(report.get(), &error_number, sizeof error_number) != sizeof error_number) { return 0; }
    waitpid(pid, nullptr, 0);
    return error_number;
}

} // namespace microvmc::guest
