#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/machine.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

struct LogFlags {
    bool follow = false;
    int lines = -1; ///< less than 0: all
    bool vmm = false;
};

// A guest writes what it likes; on a terminal only the line structure is kept.
void show(std::string_view text, bool to_terminal) {
    if (!to_terminal) { return print(text); }
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, end - at);
        while (!line.empty() && line.back() == '\r') { line.remove_suffix(1); }
        out += printable(line);
        if (end < text.size()) { out += '\n'; }
        at = end + 1;
    }
    print(out);
}

std::string read_rest(int fd) {
    std::string text;
    std::array<char, 65536> buffer{};
    for (;;) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) { continue; }
        if (got <= 0) { return text; }
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

// Waits for a change of the file, at most a second (a machine may end without another line).
void await_change(int notify) {
    pollfd wait{notify, POLLIN, 0};
    ::poll(&wait, 1, 1000);
    std::array<char, 4096> events{};
    while (::read(notify, events.data(), events.size()) > 0) {}
}

void follow(const std::string& path, const KnownMachine& machine, Fd file, bool to_terminal) {
    const Fd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    ::inotify_add_watch(notify.get(), machine.state_dir.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    for (bool running = true; running;) {
        running = is_locked(machine.runtime_dir);
        await_change(notify.get());
        show(read_rest(file.get()), to_terminal);
        struct stat now {};
        struct stat open_one {};
        if (::stat(path.c_str(), &now) == 0 && ::fstat(file.get(), &open_one) == 0 && now.st_ino != open_one.st_ino) {
            file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); // it was full, and a new one was begun
            show(read_rest(file.get()), to_terminal);
        }
    }
}

} // namespace

void add_logs(CLI::App& app, Session& session) {
    auto flags = std::make_shared<LogFlags>();
    CLI::App* command = add_command(app, session, "logs",
                                    "Show what a machine wrote to its console, this run and earlier ones", "--file");
    command->add_option("vm", session.targets, "The machine (default: the only one)");
    command->add_flag("-f,--follow", flags->follow, "Go on as it writes, until the machine ends");
    command->add_option("-n,--lines", flags->lines, "Only the last lines")->check(CLI::NonNegativeNumber);
    command->add_flag("--vmm", flags->vmm, "The hypervisor's own messages instead");
    command->callback([&session, flags] {
        const KnownMachine machine = one_machine(session, directories());
        const std::string path = machine.state_dir + (flags->vmm ? "/vmm.log" : "/console.log");
        const bool to_terminal = ::isatty(STDOUT_FILENO) == 1;
        Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!file) {
            throw Error(fmt::format("{} has no log yet ({}: {})", machine.name, path, std::strerror(errno)),
                        "microvmc start runs it");
        }
        if (flags->lines >= 0) {
            const std::string last = tail(path, static_cast<std::size_t>(flags->lines));
            show(last.empty() ? last : last + "\n", to_terminal);
            ::lseek(file.get(), 0, SEEK_END);
        }
        show(read_rest(file.get()), to_terminal);
        if (flags->follow) { follow(path, machine, std::move(file), to_terminal); }
    });
}

} // namespace microvmc
