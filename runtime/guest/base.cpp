#include "runtime/guest/base.h"

#include "runtime/guest/system.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

struct BaseMount {
    const char* fs_type;
    const char* target;
    unsigned long flags;
    const char* data;
    bool needed;      ///< nothing works without it
    bool make_target; ///< else it is mounted only where the kernel offers the directory
};

constexpr unsigned long strict = MS_NOSUID | MS_NODEV | MS_NOEXEC;

constexpr BaseMount base_mounts[] = {
    {"proc", "/proc", strict, nullptr, true, true},
    {"sysfs", "/sys", strict, nullptr, true, true},
    {"devtmpfs", "/dev", MS_NOSUID, "mode=0755", true, true},
    {"devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,ptmxmode=0666", false, true},
    {"tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777", false, true},
    {"tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755", true, true},
    {"tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777", true, true},
    {"cgroup2", "/sys/fs/cgroup", strict, nullptr, false, false},
};

} // namespace

Failure mount_base() {
    for (const auto& base : base_mounts) {
        if (base.make_target) { mkdir(base.target, 0755); }
        if (mount(base.fs_type, base.target, base.fs_type, base.flags, base.data) == 0 || errno == EBUSY) { continue; }
        if (base.needed) { return with_errno({"cannot mount ", base.fs_type, " on ", base.target}, errno); }
    }
    return std::nullopt;
}

void open_stdio() {
    int console = ::open("/dev/console", O_RDWR | O_NOCTTY);
    if (console < 0) { console = ::open("/dev/null", O_RDWR); }
    if (console < 0) { return; }
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
        if (fd != console) { dup2(console, fd); }
    }
    if (console > STDERR_FILENO) { ::close(console); }
}

} // namespace microvmc::guest
