#include "runtime/root/directory_source.h"

#include "compiler/digest.h"
#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/fd.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <map>
#include <memory>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace microvmc {

namespace {

constexpr std::size_t read_size = std::size_t{1} << 18U;

struct Found {
    std::string path;      ///< below the top: "etc/passwd"; empty: the top itself
    const char* name = ""; ///< in `directory`
    int directory = -1;    ///< open
    struct stat status {};
};

/// A directory below the top, on the same file system, no symbolic link on the way: opened anew each time, so that the
/// depth costs no descriptors. Not open: errno says why.
Fd open_below(int top, const std::string& path) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    const long fd = ::syscall(SYS_openat2, top, path.empty() ? "." : path.c_str(), &how, sizeof how);
    return Fd(static_cast<int>(fd));
}

std::vector<std::string> names_in(int directory) {
    const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
    std::vector<std::string> names;
    if (!stream) { return names; }
    while (const dirent* entry = ::readdir(stream.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") { names.emplace_back(name); }
    }
    std::ranges::sort(names);
    return names;
}

/// What is in a directory: the directory, what it has by name, then its directories in the same way. `unreadable` is
/// told of a directory that can't be opened (errno says why); what is mounted is left out without a word.
template <typename Visit, typename Unreadable>
void walk(int top, const struct stat& status, const Visit& visit, const Unreadable& unreadable) {
    struct Pending {
        std::string path;
        struct stat status;
    };
    std::vector<Pending> pending{{"", status}};
    while (!pending.empty()) {
        const Pending here = std::move(pending.back());
        pending.pop_back();
        const Fd directory = open_below(top, here.path);
        const int error = errno;
        visit(Found{here.path, ".", directory.get(), here.status});
        if (!directory) {
            errno = error;
            if (error != EXDEV) { unreadable(here.path); }
            continue;
        }
        const std::size_t before = pending.size();
        for (const std::string& name : names_in(directory.get())) {
            Found found{here.path.empty() ? name : here.path + "/" + name, name.c_str(), directory.get(), {}};
            if (::fstatat(directory.get(), name.c_str(), &found.status, AT_SYMLINK_NOFOLLOW) != 0) {
                if (errno != ENOENT) { unreadable(found.path); }
            } else if (S_ISDIR(found.status.st_mode)) {
                pending.push_back({std::move(found.path), found.status});
            } else {
                visit(found);
            }
        }
        std::reverse(pending.begin() + static_cast<std::ptrdiff_t>(before), pending.end());
    }
}

[[noreturn]] void fail(std::string_view path, int error) {
    const bool forbidden = error == EACCES || error == EPERM;
    throw Error(fmt::format("can't read \"{}\" in it: {}", printable(path), std::strerror(error)),
                forbidden ? "run microvmc as a user who may read all of it, or make a tar archive of it" : "");
}

/// Those that the host's file system has for itself are left out: overlayfs would take its own for the guest's.
bool is_wanted(std::string_view xattr) {
    return !xattr.starts_with("trusted.overlay.") && !xattr.starts_with("user.overlay.");
}

std::vector<Xattr> xattrs_of(const Found& found) {
    // By /proc: there is no lgetxattr relative to a directory.
    const std::string path = fmt::format("/proc/self/fd/{}/{}", found.directory, found.name);
    std::string names;
    for (ssize_t size = ::llistxattr(path.c_str(), nullptr, 0); size > 0;) {
        names.resize(static_cast<std::size_t>(size));
        size = ::llistxattr(path.c_str(), names.data(), names.size());
        if (size < 0 && errno == ERANGE) {
            size = ::llistxattr(path.c_str(), nullptr, 0);
            continue;
        }
        names.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        break;
    }
    std::vector<Xattr> xattrs;
    for (std::size_t at = 0; at < names.size(); at += std::strlen(names.c_str() + at) + 1) {
        const char* const name = names.c_str() + at;
        if (!is_wanted(name)) { continue; }
        std::string value(std::size_t{1} << 16U, '\0'); // XATTR_SIZE_MAX
        const ssize_t size = ::lgetxattr(path.c_str(), name, value.data(), value.size());
        if (size < 0) { continue; } // gone, or not for us
        value.resize(static_cast<std::size_t>(size));
        xattrs.push_back({name, std::move(value)});
    }
    return xattrs;
}

Attributes attributes_of(const Found& found) {
    Attributes attributes;
    attributes.permissions = found.status.st_mode & 07777;
    attributes.uid = found.status.st_uid;
    attributes.gid = found.status.st_gid;
    attributes.mtime_s = found.status.st_mtim.tv_sec;
    attributes.mtime_ns = static_cast<std::uint32_t>(found.status.st_mtim.tv_nsec);
    if (found.directory >= 0) { attributes.xattrs = xattrs_of(found); }
    return attributes;
}

/// A file's pieces, its holes left out.
class FileReader {
public:
    FileReader(const Found& found, std::vector<char>& buffer)
        : buffer_(buffer), path_(found.path), size_(static_cast<std::uint64_t>(found.status.st_size)),
          has_holes_(found.status.st_blocks * 512 < found.status.st_size),
          fd_(::openat(found.directory, found.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {
        struct stat now {};
        if (!fd_ || ::fstat(fd_.get(), &now) != 0) { fail(path_, errno); }
        if (now.st_ino != found.status.st_ino || now.st_dev != found.status.st_dev || !S_ISREG(now.st_mode)) {
            changed();
        }
    }

    std::optional<Piece> next() {
        if (at_ < size_ && has_holes_ && at_ >= data_end_) { find_data(); }
        if (at_ >= size_) { return std::nullopt; }
        const std::uint64_t end = std::min(size_, has_holes_ ? data_end_ : size_);
        const std::size_t wanted = std::min<std::uint64_t>(buffer_.size(), end - at_);
        const ssize_t got = ::pread(fd_.get(), buffer_.data(), wanted, static_cast<off_t>(at_));
        if (got < 0) { fail(path_, errno); }
        if (got == 0) { changed(); }
        const Piece piece{at_, {buffer_.data(), static_cast<std::size_t>(got)}};
        at_ += static_cast<std::uint64_t>(got);
        return piece;
    }

private:
    [[noreturn]] void changed() const {
        throw Error(fmt::format("\"{}\" in it changed while it was read", printable(path_)), "try again");
    }

    void find_data() {
        const off_t data = ::lseek(fd_.get(), static_cast<off_t>(at_), SEEK_DATA);
        const off_t hole = data < 0 ? -1 : ::lseek(fd_.get(), data, SEEK_HOLE);
        if (data < 0 && errno == ENXIO) {
            at_ = size_; // the rest is a hole
        } else if (hole < 0) {
            has_holes_ = false; // the file system doesn't say
        } else {
            at_ = static_cast<std::uint64_t>(data);
            data_end_ = static_cast<std::uint64_t>(hole);
        }
    }

    std::vector<char>& buffer_;
    const std::string& path_;
    std::uint64_t size_;
    bool has_holes_;
    std::uint64_t data_end_ = 0;
    std::uint64_t at_ = 0;
    Fd fd_;
};

std::string target_of(const Found& found) {
    std::string target(static_cast<std::size_t>(PATH_MAX), '\0');
    const ssize_t size = ::readlinkat(found.directory, found.name, target.data(), target.size());
    if (size < 0) { fail(found.path, errno); }
    target.resize(static_cast<std::size_t>(size));
    return target;
}

class DirectoryReader {
public:
    DirectoryReader(RootBuilder& root, const BytesRead& progress)
        : root_(root), progress_(progress), buffer_(read_size) {}

    void read(const Found& found) {
        const struct stat& status = found.status;
        if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
            const auto [first, is_new] = linked_.try_emplace(std::pair(status.st_dev, status.st_ino), found.path);
            if (!is_new) {
                root_.add_link(found.path, first->second);
                return;
            }
        }
        const Attributes attributes = attributes_of(found);
        const DeviceNumber device{gnu_dev_major(status.st_rdev), gnu_dev_minor(status.st_rdev)};
        switch (status.st_mode & S_IFMT) {
        case S_IFDIR: root_.add_directory(found.path, attributes); return;
        case S_IFREG: read_file(found, attributes); return;
        case S_IFLNK: root_.add_symlink(found.path, attributes, target_of(found)); return;
        case S_IFCHR: root_.add_special(found.path, attributes, FileKind::character_device, device); return;
        case S_IFBLK: root_.add_special(found.path, attributes, FileKind::block_device, device); return;
        case S_IFIFO: root_.add_special(found.path, attributes, FileKind::fifo, {}); return;
        case S_IFSOCK: root_.add_special(found.path, attributes, FileKind::socket, {}); return;
        default: throw Error(fmt::format("\"{}\" in it is of no known kind", printable(found.path)));
        }
    }

private:
    void read_file(const Found& found, const Attributes& attributes) {
        FileReader file(found, buffer_);
        const auto pieces = [this, &file] {
            const std::optional<Piece> piece = file.next();
            if (piece) { progress_(bytes_ += piece->bytes.size()); }
            return piece;
        };
        root_.add_file(found.path, attributes, static_cast<std::uint64_t>(found.status.st_size), pieces);
    }

    RootBuilder& root_;
    const BytesRead& progress_;
    std::vector<char> buffer_;
    std::uint64_t bytes_ = 0;
    std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

/// SHA-256 of a text of any length, taken piece by piece.
class RunningDigest {
public:
    void add(std::string_view text) {
        text_ += text;
        if (text_.size() > limit) { text_ = sha256_hex(text_); }
    }
    [[nodiscard]] std::string hex() const { return sha256_hex(text_); }

private:
    static constexpr std::size_t limit = std::size_t{1} << 18U;
    std::string text_;
};

std::string state_of(const struct stat& status) {
    return fmt::format("{} {:o} {} {} {} {} {} {}.{} {}.{}", status.st_ino, status.st_mode, status.st_nlink,
                       status.st_uid, status.st_gid, status.st_size, status.st_rdev, status.st_mtim.tv_sec,
                       status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

} // namespace

void read_directory(const std::string& path, RootBuilder& root, const BytesRead& progress) {
    const Fd top(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status {};
    if (!top || ::fstat(top.get(), &status) != 0) {
        throw Error(fmt::format("can't open it: {}", std::strerror(errno)));
    }
    DirectoryReader reader(root, progress);
    walk(
        top.get(), status, [&reader](const Found& found) { reader.read(found); },
        [](const std::string& unreadable) { fail(unreadable, errno); });
}

std::string source_identity(const std::string& path) {
    const Fd top(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!top || ::fstat(top.get(), &status) != 0) { return {}; }
    if (!S_ISDIR(status.st_mode)) { return sha256_hex(state_of(status)); }
    RunningDigest digest;
    walk(
        top.get(), status,
        [&digest](const Found& found) {
            digest.add(fmt::format("{}:{} {}\n", found.path.size(), found.path, state_of(found.status)));
        },
        [&digest](const std::string& unreadable) {
            digest.add(fmt::format("{}:{} ?\n", unreadable.size(), unreadable));
        });
    return digest.hex();
}

} // namespace microvmc
