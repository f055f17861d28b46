#include "runtime/guest/main_process.h"

#include "runtime/guest/environment.h"
#include "runtime/guest/spawn.h"
#include "runtime/guest/system.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

// /dev/console itself can't be anyone's controlling terminal by opening it; what it stands for can.
std::string find_console(const std::string& wanted) {
    if (!wanted.empty()) { return wanted; }
    const auto active = read_file("/sys/class/tty/console/active", 256).value_or("");
    const auto names = split(trim(active), ' ');
    return names.empty() ? "/dev/console" : concat({"/dev/", names.back()});
}

} // namespace

Failure start_command(const Settings& settings, const std::vector<std::string>& env, pid_t& pid) {
    constexpr std::int64_t console_wait_ms = 1'000; // hvc0 appears when its device is probed
    if (settings.command.empty()) { return std::nullopt; }
    Fd console;
    const std::string path = find_console(settings.console);
    wait_for(console_wait_ms, [&] {
        console = Fd(::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        return console.open();
    });
    if (!console.open()) { console = Fd(::open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC)); }
    Program program;
    program.argv = settings.command;
    program.env = env;
    program.workdir = settings.workdir;
    program.stdin_fd = program.stdout_fd = program.stderr_fd = console.get();
    program.terminal = true;
    if (const int error_number = spawn_and_confirm(program, pid); error_number != 0) {
        const bool in_workdir = !settings.workdir.empty() && access(settings.workdir.c_str(), X_OK) != 0;
        if (in_workdir) { return with_errno({"cannot change to the directory ", settings.workdir}, error_number); }
        return with_errno({"cannot run ", settings.command.front()}, error_number);
    }
    return std::nullopt;
}

Failure become_init(const Settings& settings) {
    const auto entries = merge_environment({"HOME=/", "TERM=linux"}, settings.env);
    std::vector<char*> env;
    env.reserve(entries.size() + 1);
    for (const auto& entry : entries) { env.push_back(const_cast<char*>(entry.c_str())); }
    env.push_back(nullptr);
    char* argv[] = {const_cast<char*>(settings.init.c_str()), nullptr};
    execve(argv[0], argv, env.data());
    return with_errno({"cannot run the init ", settings.init}, errno);
}

} // namespace microvmc::guest
