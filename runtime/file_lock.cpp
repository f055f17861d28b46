#include "runtime/file_lock.h"

#include "runtime/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>

namespace microvmc {

FileLock::FileLock(const std::string& path, std::chrono::milliseconds timeout, const std::string& what, Kind kind) {
    fd_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd_) { throw Error(fmt::format("can't open the lock {}: {}", path, std::strerror(errno))); }
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    const int operation = (kind == Kind::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
    while (::flock(fd_.get(), operation) != 0) {
        const int why = errno;
        if (why == EINTR) { continue; }
        if (why != EWOULDBLOCK || std::chrono::steady_clock::now() >= deadline) {
            if (why != EWOULDBLOCK) { throw Error(fmt::format("can't lock {}: {}", path, std::strerror(why))); }
            throw TimeoutError(fmt::format("another microvmc is working on {}", what),
                               "wait until it ends, or give it longer with --lock-timeout");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

} // namespace microvmc
