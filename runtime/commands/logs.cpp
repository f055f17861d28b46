#include "runtime/commands/machines.h"
#include "runtime/commands/moments.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/machine.h"
#include "runtime/supervisor/protocol.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace microvmc {

using supervisor::stamps_path;

namespace {

struct LogFlags {
    bool follow = false;
    int lines = -1; ///< less than 0: all
    bool vmm = false;
    bool timestamps = false;
    std::string since;
};

// When what was written, by its place in the log.
class Stamps {
public:
    explicit Stamps(std::string path) : path_(std::move(path)) {}

    // The time of the byte at `offset`, in milliseconds since the epoch; 0: it isn't known.
    std::int64_t at(std::uint64_t offset) {
        if (stamps_.empty() || stamps_.back().first <= offset) { load(); }
        const auto after =
            std::ranges::upper_bound(stamps_, offset, {}, &std::pair<std::uint64_t, std::int64_t>::first);
        return after == stamps_.begin() ? 0 : std::prev(after)->second;
    }

    // Where what was written at `ms` or later begins.
    std::uint64_t since(std::int64_t ms, std::uint64_t end) {
        load();
        const auto first = std::ranges::find_if(stamps_, [ms](const auto& stamp) { return stamp.second >= ms; });
        return first == stamps_.end() ? end : first->first;
    }

private:
    void load() {
        std::ifstream file(path_);
        std::pair<std::uint64_t, std::int64_t> stamp;
        stamps_.clear();
        while (file >> stamp.first >> stamp.second) { stamps_.push_back(stamp); }
    }

    std::string path_;
    std::vector<std::pair<std::uint64_t, std::int64_t>> stamps_;
};

// Shows a log from some place on, piece by piece.
class Shown {
public:
    Shown(const std::string& path, const LogFlags& flags)
        : to_terminal_(::isatty(STDOUT_FILENO) == 1), timestamps_(flags.timestamps), stamps_(stamps_path(path)) {}

    void begin_at(std::uint64_t offset) {
        offset_ = offset;
        at_line_start_ = true;
    }

    // A guest writes what it likes; on a terminal only the line structure is kept.
    void show(std::string_view text) {
        if (!to_terminal_ && !timestamps_) { return print(text); }
        std::string out;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            std::string_view line = text.substr(at, end - at);
            if (at_line_start_ && timestamps_) { out += stamp(offset_ + at); }
            if (to_terminal_) {
                while (!line.empty() && line.back() == '\r') { line.remove_suffix(1); }
                out += printable(line);
            } else {
                out += line;
            }
            at_line_start_ = end < text.size();
            if (at_line_start_) { out += '\n'; }
            at = end + 1;
        }
        offset_ += text.size();
        print(out);
    }

private:
    std::string stamp(std::uint64_t offset) {
        const std::int64_t ms = stamps_.at(offset);
        return ms == 0 ? fmt::format("{:24}  ", "-") : utc(ms) + "  ";
    }

    bool to_terminal_;
    bool timestamps_;
    bool at_line_start_ = true;
    std::uint64_t offset_ = 0;
    Stamps stamps_;
};

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

void follow(const std::string& path, const KnownMachine& machine, Fd file, Shown& shown) {
    const Fd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    ::inotify_add_watch(notify.get(), machine.state_dir.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    for (bool running = true; running;) {
        running = is_locked(machine.runtime_dir);
        await_change(notify.get());
        shown.show(read_rest(file.get()));
        struct stat now {};
        struct stat open_one {};
        if (::stat(path.c_str(), &now) == 0 && ::fstat(file.get(), &open_one) == 0 && now.st_ino != open_one.st_ino) {
            file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); // it was full, and a new one was begun
            shown.begin_at(0);
            shown.show(read_rest(file.get()));
        }
    }
}

// Where the last lines begin.
std::uint64_t start_of_last(const std::string& path, int lines, std::uint64_t end) {
    if (lines == 0) { return end; }
    const std::string last = tail(path, static_cast<std::size_t>(lines));
    std::uint64_t begin = end;
    std::ifstream file(path, std::ios::binary);
    // `tail` leaves out the newlines at the end.
    while (begin > 0) {
        file.seekg(static_cast<std::streamoff>(begin) - 1);
        const int c = file.get();
        if (c != '\n' && c != '\r') { break; }
        --begin;
    }
    return begin - std::min<std::uint64_t>(begin, last.size());
}

} // namespace

void add_logs(CLI::App& app, Session& session) {
    auto flags = std::make_shared<LogFlags>();
    CLI::App* command = add_command(app, session, "logs",
                                    "Show what a machine wrote to its console, this run and earlier ones", "--file");
    command->add_option("vm", session.targets, "The machine (default: the only one)");
    command->add_flag("-f,--follow", flags->follow, "Go on as it writes, until the machine ends");
    command->add_option("-n,--lines", flags->lines, "Only the last lines")->check(CLI::NonNegativeNumber);
    command->add_flag("-t,--timestamps", flags->timestamps, "With the time when each line was written");
    command->add_option("--since", flags->since, "Only what was written since then: 10m, 1h30m, 2026-11-25T21:00:00Z")
        ->type_name("TIME");
    command->add_flag("--vmm", flags->vmm, "The hypervisor's own messages instead");
    command->callback([&session, flags] {
        const KnownMachine machine = one_machine(session, directories());
        const std::string path = machine.state_dir + (flags->vmm ? "/vmm.log" : "/console.log");
        Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        if (!file) {
            throw Error(fmt::format("{} has no log yet ({}: {})", machine.name, path, std::strerror(errno)),
                        "microvmc start runs it");
        }
        if (flags->vmm && (flags->timestamps || !flags->since.empty())) {
            throw Error("the hypervisor's messages have no times of their own", "leave --timestamps and --since out");
        }
        const auto end = static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END));
        std::uint64_t begin = 0;
        if (flags->lines >= 0) { begin = start_of_last(path, flags->lines, end); }
        if (!flags->since.empty()) {
            const std::int64_t since = milliseconds_of(moment_of(flags->since));
            begin = std::max(begin, Stamps(stamps_path(path)).since(since, end));
        }
        Shown shown(path, *flags);
        ::lseek(file.get(), static_cast<off_t>(begin), SEEK_SET);
        shown.begin_at(begin);
        shown.show(read_rest(file.get()));
        if (flags->follow) { follow(path, machine, std::move(file), shown); }
    });
}

} // namespace microvmc
