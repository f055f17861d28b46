#include "runtime/files.h"

#include "runtime/error.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/file.h>
#include <sys/stat.h>
#include <vector>

namespace microvmc {

namespace {

[[noreturn]] void fail(std::string_view verb, const std::string& path, int error) {
    throw Error(fmt::format("can't {} {}: {}", verb, path, std::strerror(error)));
}

std::string parent_of(const std::string& path) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

std::string part_of(const std::string& path) {
    const std::filesystem::path whole(path);
    return (whole.parent_path() / ("." + whole.filename().string() + ".part")).string();
}

/// The directory, locked until the descriptor is closed.
Fd lock_directory(const std::string& path) {
    Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (fd && ::flock(fd.get(), LOCK_EX) != 0) {
        if (errno != EINTR) { fail("lock", path, errno); }
    }
    if (!fd) { fail("open", path, errno); }
    return fd;
}

/// Whether the open file still has the name.
bool still_named(int fd, const std::string& path) {
    struct stat open_file {};
    struct stat named {};
    return ::fstat(fd, &open_file) == 0 && ::lstat(path.c_str(), &named) == 0 && open_file.st_dev == named.st_dev &&
           open_file.st_ino == named.st_ino;
}

/// Unlinks a part whose writer is dead: its lock is free.
bool unlink_stale(const std::string& part) {
    const Fd stale(::open(part.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!stale) { return errno == ENOENT; }
    if (::flock(stale.get(), LOCK_EX | LOCK_NB) != 0) { return false; }
    if (still_named(stale.get(), part)) { ::unlink(part.c_str()); }
    return true;
}

/// The locked `.NAME.part`, waiting for another writer of the same file.
Fd open_part(const std::string& part, std::uint32_t mode) {
    for (;;) {
        Fd fd(::open(part.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
        if (fd) {
            // A sweeper may have it between open and flock; then it is unlinked and we start again.
            if (::flock(fd.get(), LOCK_EX) == 0 && still_named(fd.get(), part)) { return fd; }
            continue;
        }
        if (errno != EEXIST) { fail("create", part, errno); }
        if (!unlink_stale(part)) {
            const Fd other(::open(part.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
            if (!other && errno != ENOENT) { fail("open", part, errno); }
            if (other) { ::flock(other.get(), LOCK_EX); }
        }
    }
}

void remove_entry(int parent, const char* name, const std::string& shown) {
    if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) { return; }
    // Linux says EISDIR for a directory, POSIX EPERM.
    if (errno != EISDIR && errno != EPERM) { fail("remove", shown, errno); }
    const int unlink_error = errno;

    struct statx status {};
    if (::statx(parent, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) != 0) { fail("look at", shown, errno); }
    if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0) {
        throw Error(fmt::format("won't remove {}: something is mounted there", shown), "unmount it first");
    }
    if (!S_ISDIR(status.stx_mode)) { fail("remove", shown, unlink_error); }

    const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) { fail("open", shown, errno); }
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd), ::closedir);
    std::vector<std::string> directories;
    while (const dirent* entry = ::readdir(directory.get())) {
        const std::string_view child = entry->d_name;
        if (child == "." || child == "..") { continue; }
        if (::unlinkat(fd, entry->d_name, 0) != 0 && errno != ENOENT) { directories.emplace_back(child); }
    }
    for (const std::string& child : directories) {
        remove_entry(fd, child.c_str(), fmt::format("{}/{}", shown, child));
    }
    if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) { fail("remove", shown, errno); }
}

} // namespace

NewFile::NewFile(std::string path, std::uint32_t mode, Unfinished unfinished)
    : path_(std::move(path)), directory_(parent_of(path_)) {
    if (unfinished == Unfinished::unnamed) {
        fd_.reset(::open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode));
        // EISDIR: a kernel without O_TMPFILE takes it for a directory opened to write (open(2)).
        if (!fd_ && errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) { fail("create", path_, errno); }
    }
    if (!fd_) {
        part_ = part_of(path_);
        fd_ = open_part(part_, mode);
    }
    if (::fchmod(fd_.get(), mode) != 0) { fail("set the mode of", path_, errno); }
}

NewFile::~NewFile() {
    if (!part_.empty()) { ::unlink(part_.c_str()); }
}

void NewFile::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written < 0) { fail("write", path_, errno); }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

void NewFile::sync() {
    if (::fsync(fd_.get()) != 0) { fail("write", path_, errno); }
}

bool NewFile::link_to(const std::string& name) {
    // By /proc: AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH (open(2), O_TMPFILE).
    const std::string self = fmt::format("/proc/self/fd/{}", fd_.get());
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) { return true; }
    if (errno != EEXIST) { fail("create", name, errno); }
    return false;
}

void NewFile::replace(Sync sync_it) {
    if (sync_it == Sync::to_disk) { sync(); }
    if (part_.empty()) {
        if (link_to(path_)) {
            if (sync_it == Sync::to_disk) { sync_directory(directory_); }
            return;
        }
        // Only rename(2) replaces, so it needs a name first; under the directory's lock, so that a part that is found
        // there was left by a writer that is dead.
        const std::string part = part_of(path_);
        const Fd lock = lock_directory(directory_);
        ::unlink(part.c_str());
        if (!link_to(part)) { fail("replace", path_, EEXIST); }
        if (::rename(part.c_str(), path_.c_str()) != 0) {
            const int error = errno;
            ::unlink(part.c_str());
            fail("replace", path_, error);
        }
    } else {
        if (::rename(part_.c_str(), path_.c_str()) != 0) { fail("replace", path_, errno); }
        part_.clear();
    }
    if (sync_it == Sync::to_disk) { sync_directory(directory_); }
}

bool NewFile::publish() {
    sync();
    if (part_.empty()) {
        if (!link_to(path_)) { return false; }
    } else if (::renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) {
        part_.clear();
    } else if (errno == EEXIST) {
        return false;
    } else if (errno == EINVAL || errno == ENOSYS) { // a file system without RENAME_NOREPLACE
        if (::link(part_.c_str(), path_.c_str()) != 0) {
            if (errno == EEXIST) { return false; }
            fail("create", path_, errno);
        }
        ::unlink(part_.c_str());
        part_.clear();
    } else {
        fail("create", path_, errno);
    }
    sync_directory(directory_);
    return true;
}

void write_whole(const std::string& path, std::string_view content, std::uint32_t mode) {
    NewFile file(path, mode);
    file.write(content);
    file.replace();
}

std::optional<std::string> read_file(const std::string& path, std::size_t limit) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        if (errno == ENOENT || errno == ENOTDIR) { return std::nullopt; }
        fail("read", path, errno);
    }
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) { fail("read", path, errno); }
    if (!S_ISREG(status.st_mode)) { throw Error(fmt::format("can't read {}: not a regular file", path)); }

    // Files of /proc say that they are empty, so the size is a hint.
    std::string content;
    content.resize(std::min(static_cast<std::size_t>(status.st_size), limit) + 4096);
    std::size_t length = 0;
    for (;;) {
        if (length == content.size()) { content.resize(content.size() * 2); }
        const ssize_t got = ::read(fd.get(), content.data() + length, content.size() - length);
        if (got < 0 && errno == EINTR) { continue; }
        if (got < 0) { fail("read", path, errno); }
        if (got == 0) { break; }
        length += static_cast<std::size_t>(got);
        if (length > limit) { throw Error(fmt::format("can't read {}: larger than {} bytes", path, limit)); }
    }
    content.resize(length);
    return content;
}

std::optional<FileIdentity> file_identity(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) { return std::nullopt; }
    return FileIdentity{
        .device = status.st_dev,
        .inode = status.st_ino,
        .mtime_ns = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec,
        .size = static_cast<std::uint64_t>(status.st_size),
    };
}

void make_directories(const std::string& path, std::uint32_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) { return; }
    if (errno == ENOENT) {
        const std::string parent = parent_of(path);
        if (parent == path) { fail("create", path, ENOENT); }
        make_directories(parent, mode);
        if (::mkdir(path.c_str(), mode) == 0) { return; }
    }
    const int error = errno;
    struct stat status {};
    if (error == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) { return; }
    fail("create the directory", path, error == EEXIST ? ENOTDIR : error);
}

void remove_tree(const std::string& path) {
    std::string trimmed = path;
    while (trimmed.size() > 1 && trimmed.back() == '/') { trimmed.pop_back(); } // "link/" would follow the link
    if (trimmed.empty() || trimmed == "/") { throw Error(fmt::format("won't remove \"{}\"", path)); }
    remove_entry(AT_FDCWD, trimmed.c_str(), trimmed);
}

void sweep_parts(const std::string& directory) {
    std::error_code error;
    if (!std::filesystem::is_directory(directory, error)) { return; }
    const Fd lock = lock_directory(directory);
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') && name.ends_with(".part") && entry.is_regular_file(error)) {
            unlink_stale(entry.path().string());
        }
    }
}

namespace {

void sync_opened(const std::string& path, int flags) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
    if (!fd) { fail("open", path, errno); }
    // EINVAL: a file system that keeps nothing on disk.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) { fail("write", path, errno); }
}

} // namespace

void sync_directory(const std::string& path) {
    sync_opened(path, O_DIRECTORY);
}

void sync_tree(const std::string& path) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
        if (entry.is_regular_file() || entry.is_directory()) { sync_opened(entry.path().string(), O_NOFOLLOW); }
    }
    sync_directory(path);
}

} // namespace microvmc
