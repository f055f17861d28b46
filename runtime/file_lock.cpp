#include "runtime/file_lock.h"

#include "runtime/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace microvmc {

FileLock::FileLock(const std::string& path, std::chrono::milliseconds timeout, const std::string& what) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) { throw Error(fmt::format("can't open the lock {}: {}", path, std::strerror(errno))); }
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
        const int why = errno;
        if (why == EINTR) { continue; }
        if (why != EWOULDBLOCK || std::chrono::steady_clock::now() >= deadline) {
            ::close(fd_);
            if (why != EWOULDBLOCK) { throw Error(fmt::format("can't lock {}: {}", path, std::strerror(why))); }
            throw TimeoutError(fmt::format("another microvmc is working on {}", what),
                               "wait until it ends, or give it longer with --lock-timeout");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

FileLock::~FileLock() {
    if (fd_ >= 0) { ::close(fd_); }
}

} // namespace microvmc
