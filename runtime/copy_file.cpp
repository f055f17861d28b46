#include "runtime/copy_file.h"

#include "runtime/error.h"
#include "runtime/fd.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace microvmc {

namespace {

constexpr std::size_t step = std::size_t{8} << 20U; // bytes between two looks for a signal

[[noreturn]] void fail(const std::string& from, const std::string& to, int error) {
    throw Error(fmt::format("can't copy {} to {}: {}", from, to, std::strerror(error)));
}

bool is_interrupted() {
    sigset_t pending;
    ::sigemptyset(&pending);
    ::sigpending(&pending);
    return std::ranges::any_of(std::initializer_list<int>{SIGINT, SIGTERM, SIGHUP},
                               [&pending](int number) { return ::sigismember(&pending, number) == 1; });
}

// Bytes [at, end), by the kernel where it can copy between these two, else through us. False and errno.
bool copy_range(int from, int to, off_t at, off_t end, std::vector<char>& buffer) {
    while (at < end) {
        if (is_interrupted()) { throw Error("interrupted"); }
        const auto size = std::min(step, static_cast<std::size_t>(end - at));
        off_t in = at;
        off_t out = at;
        ssize_t count = ::copy_file_range(from, &in, to, &out, size, 0);
        if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
            buffer.resize(step);
            count = ::pread(from, buffer.data(), size, at);
            if (count > 0) { count = ::pwrite(to, buffer.data(), static_cast<std::size_t>(count), at); }
        }
        if (count < 0 && errno == EINTR) { continue; }
        if (count < 0) { return false; }
        if (count == 0) { return true; } // it became shorter meanwhile
        at += count;
    }
    return true;
}

bool copy_data(int from, int to, off_t size) {
    std::vector<char> buffer;
    for (off_t at = 0; at < size;) {
        off_t data = ::lseek(from, at, SEEK_DATA);
        off_t end = size;
        if (data < 0 && errno == ENXIO) { return true; } // only a hole is left
        if (data < 0) {
            data = at; // a file system without holes
        } else if (const off_t hole = ::lseek(from, data, SEEK_HOLE); hole > data) {
            end = std::min(hole, size);
        }
        if (!copy_range(from, to, data, end, buffer)) { return false; }
        at = end;
    }
    return true;
}

} // namespace

bool copy_content(int from, int to) {
    struct stat status {};
    if (::fstat(from, &status) != 0) { return false; }
    return ::ioctl(to, FICLONE, from) == 0 ||
           (::ftruncate(to, status.st_size) == 0 && copy_data(from, to, status.st_size));
}

void copy_file(const std::string& from, const std::string& to, Sync sync) {
    const Fd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!source || ::fstat(source.get(), &status) != 0) { fail(from, to, errno); }
    if (!S_ISREG(status.st_mode)) { throw Error(fmt::format("can't copy {}: it is not a regular file", from)); }
    NewFile file(to, 0600);
    if (!copy_content(source.get(), file.fd())) { fail(from, to, errno); }
    file.replace(sync);
}

void swap_files(const std::string& a, const std::string& b) {
    const auto rename = [](const std::string& from, const std::string& to, unsigned flags) {
        return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) == 0;
    };
    if (rename(a, b, RENAME_EXCHANGE)) { return; }
    if (errno == ENOENT && ::access(a.c_str(), F_OK) != 0 && rename(b, a, 0)) { return; }
    if (errno == EINVAL || errno == ENOSYS) {
        const std::string aside = b + ".aside";
        if (rename(a, aside, 0) && rename(b, a, 0) && rename(aside, b, 0)) { return; }
    }
    throw Error(fmt::format("can't put {} in place of {}: {}", b, a, std::strerror(errno)));
}

} // namespace microvmc
