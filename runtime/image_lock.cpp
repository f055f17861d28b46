#include "runtime/image_lock.h"

#include "runtime/error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>

namespace microvmc {

namespace {

constexpr off_t our_byte = off_t{1} << 62U;
constexpr off_t qemu_first_byte = 100; // RAW_LOCK_PERM_BASE
constexpr off_t qemu_write_byte = 101; // BLK_PERM_WRITE

struct flock range(short type, off_t start, off_t length) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return lock;
}

/// The lock that keeps us from this one; nothing when there is none.
std::optional<struct flock> conflict(int fd, short type, off_t start, off_t length) {
    struct flock lock = range(type, start, length);
    if (::fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) { return std::nullopt; }
    return lock;
}

} // namespace

bool lock_image(int fd, ImageAccess access) {
    struct flock lock = range(access == ImageAccess::write ? F_WRLCK : F_RDLCK, our_byte, 1);
    while (::fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) { return false; }
        if (errno != EINTR) { throw Error(std::string("can't lock it: ") + std::strerror(errno)); }
    }
    return true;
}

ImageUse image_use(int fd) {
    ImageUse use;
    use.used = conflict(fd, F_WRLCK, 0, 0).has_value();
    if (!use.used) { return use; }
    const auto of_qemu = conflict(fd, F_WRLCK, qemu_write_byte, 1);
    // One that writes, whoever it is, unless it does as QEMU does: then it has that very byte. The kernel joins locks
    // of bytes side by side.
    use.written = conflict(fd, F_RDLCK, 0, 0).has_value() || (of_qemu && of_qemu->l_start >= qemu_first_byte);
    return use;
}

} // namespace microvmc
