#pragma once

#include "runtime/fd.h"
#include "runtime/launch.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace microvmc::supervisor {

/// Kills everything in a cgroup (v2) and removes it; true when it is gone. Waits for the dying, 1 s at most. Here
/// whole, because a client does it too, for a supervisor that was killed.
inline bool kill_cgroup(const std::string& path) {
    constexpr int tries = 200;
    for (int i = 0; i < tries; ++i) {
        if (::rmdir(path.c_str()) == 0 || errno == ENOENT) { return true; }
        if (errno != EBUSY) { return false; }
        const Fd kill_file(::open((path + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC)); // Linux 5.14
        if (!kill_file || ::write(kill_file.get(), "1", 1) != 1) {
            const Fd members(::open((path + "/cgroup.procs").c_str(), O_RDONLY | O_CLOEXEC));
            std::array<char, 4096> text{};
            if (members && ::read(members.get(), text.data(), text.size() - 1) > 0) {
                for (char *at = text.data(), *end = nullptr; *at != '\0'; at = end + (*end == '\n' ? 1 : 0)) {
                    const long pid = std::strtol(at, &end, 10);
                    if (end == at) { break; }
                    if (pid > 1) { ::kill(static_cast<pid_t>(pid), SIGKILL); }
                }
            }
        }
        const timespec pause{0, 5'000'000};
        ::nanosleep(&pause, nullptr);
    }
    return false;
}

/// The name of a machine's cgroup.
std::string cgroup_name_of(const std::string& project, const std::string& vm, const std::string& runtime_dir);

/// The directory of the cgroup (v2) that this process is in, also where v1 is mounted beside it; nothing when there is
/// none. The texts are /proc/self/mountinfo and /proc/self/cgroup; proc(5), cgroups(7).
std::optional<std::string> own_cgroup(std::string_view mountinfo, std::string_view membership);

/// The mount point of cgroup v2 that `own_cgroup` lies below.
std::optional<std::string> cgroup_root(std::string_view mountinfo);

/// The controllers (cpu, memory, ...) that limits could be set by: those of our own cgroup and of the ones above it in
/// which we may make one.
std::vector<std::string> usable_controllers();

/// The controllers that limits need.
std::vector<std::string> controllers_for(const Limits& limits);

/// A cgroup for the children, below our own. An ordinary user is often not permitted to make one: then there is none
/// (`fd` is -1), and nothing else changes. One with limits is made where they can be set, our own cgroup or the nearest
/// above it (a cgroup that has processes gives no controllers to those below it; cgroups(7)).
class Cgroup {
public:
    /// Kills what is left in one of that name. Throws Error when it has limits that can't be set.
    explicit Cgroup(const std::string& name, const Limits& limits = {});
    /// The one that an earlier program of this process made; empty: there is none.
    static std::unique_ptr<Cgroup> adopt(const std::string& path);
    ~Cgroup() { remove(); }
    Cgroup(const Cgroup&) = delete;
    Cgroup& operator=(const Cgroup&) = delete;

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }
    /// Kills what is in it and removes it.
    void remove();

private:
    Cgroup() = default;

    std::string path_;
    Fd fd_;
};

} // namespace microvmc::supervisor
