#include "runtime/machine_copy.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/guest/copy.h"
#include "runtime/machine.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <thread>

namespace microvmc {

namespace {

struct Pipe {
    Fd read;
    Fd write;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw Error(fmt::format("can't make a pipe: {}", std::strerror(errno)));
    }
    return {Fd(ends[0]), Fd(ends[1])};
}

/// The last part of a path; "." and ".." have none, nor has the root.
std::string base_name(std::string path) {
    while (path.size() > 1 && path.back() == '/') { path.pop_back(); }
    std::string name = path.substr(path.rfind('/') + 1);
    return name == "." || name == ".." ? "" : name;
}

/// What a command said on a descriptor that keeps it all.
std::vector<std::string> lines_of(int fd) {
    std::string text;
    std::array<char, 4096> buffer{};
    ssize_t count = 0;
    while ((count = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(text.size()))) > 0) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        lines.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return lines;
}

Fd memory_file() {
    Fd file(::memfd_create("said", MFD_CLOEXEC));
    if (!file) { throw Error(fmt::format("can't make a file in memory: {}", std::strerror(errno))); }
    return file;
}

/// Beside the relay, which signals are for. `work` ends when its end of the pipe is closed on the other side.
template <typename Work> std::thread beside(Work work) {
    return std::thread([work = std::move(work)]() mutable {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        work();
    });
}

/// Joins it however this is left, once nobody is at the other end of its pipe any more.
class Joined {
public:
    Joined(std::thread thread, Fd& other_end) : thread_(std::move(thread)), other_end_(other_end) {}
    ~Joined() { join(); }
    Joined(const Joined&) = delete;
    Joined& operator=(const Joined&) = delete;
    void join() {
        other_end_.reset();
        if (thread_.joinable()) { thread_.join(); }
    }

private:
    std::thread thread_;
    Fd& other_end_;
};

[[noreturn]] void not_copied(const std::string& why, int status) {
    throw Error(fmt::format("not copied: {}", why),
                status == 127 ? "a machine that an earlier microvmc started copies once it was restarted" : "");
}

} // namespace

std::vector<std::string> copy_to_machine(const std::string& runtime_dir, const std::string& source,
                                         const std::string& target) {
    Pipe pipe = make_pipe();
    const Fd said = memory_file();
    copy::Failure failure;
    int status = 0;
    {
        Joined sender(beside([&failure, &source, end = std::move(pipe.write)]() mutable {
                          failure = copy::send(end.get(), source);
                          end.reset();
                      }),
                      pipe.read);
        ExecRequest request;
        request.argv = {std::string(copy::receive_command), target, base_name(source)};
        status = exec_in_machine(runtime_dir, request, {pipe.read.get(), said.get(), said.get()});
    }
    std::vector<std::string> lines = lines_of(said.get());
    if (status == 0 && !failure) { return lines; }
    // The guest knows why, unless it was told by us that it can't be read.
    not_copied(!lines.empty() ? lines.back() : failure ? *failure : fmt::format("status {}", status), status);
}

std::vector<std::string> copy_from_machine(const std::string& runtime_dir, const std::string& source,
                                           const std::string& target) {
    Pipe pipe = make_pipe();
    const Fd said = memory_file();
    const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    std::vector<std::string> warnings;
    copy::Failure failure;
    int status = 0;
    {
        Joined receiver(beside([&, end = std::move(pipe.read)]() mutable {
                            failure = copy::receive(end.get(), target, base_name(source), warnings);
                            end.reset(); // nobody takes the rest: the guest's end notices
                        }),
                        pipe.write);
        ExecRequest request;
        request.argv = {std::string(copy::send_command), source};
        status = exec_in_machine(runtime_dir, request, {nothing.get(), pipe.write.get(), said.get()});
    }
    const std::vector<std::string> lines = lines_of(said.get());
    if (failure) { not_copied(status == 127 && !lines.empty() ? lines.back() : *failure, status); }
    if (status != 0) { not_copied(lines.empty() ? fmt::format("status {}", status) : lines.back(), status); }
    return warnings;
}

} // namespace microvmc
