#include "runtime/guest/copy.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace microvmc::copy {

namespace {

constexpr std::string_view magic = "mvcopy1\n";
constexpr std::size_t piece_bytes = 65'536;
constexpr std::size_t max_field = 65'536;
constexpr std::size_t max_depth = 1'000; ///< of directories; each is open while it is walked

/// A descriptor that is closed with its owner.
class File {
public:
    explicit File(int fd) : fd_(fd) {}
    ~File() {
        if (fd_ >= 0) { ::close(fd_); }
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool open() const { return fd_ >= 0; }

private:
    int fd_;
};

std::string because(std::string what, int error_number) {
    return what.append(": ").append(std::strerror(error_number));
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count < 0) { return false; }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

// ---- sending

class Sender {
public:
    explicit Sender(int stream) : stream_(stream) {}

    Failure send(const std::string& path) {
        const File top(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
        struct stat status {};
        if (!top.open() || ::fstat(top.get(), &status) != 0) { return give_up(because("can't read " + path, errno)); }
        out_.append(magic);
        if (S_ISDIR(status.st_mode)) {
            entry('d', "", status);
            if (auto failure = directory(top.get(), "", 0)) { return give_up(*failure); }
        } else if (S_ISREG(status.st_mode)) {
            if (auto failure = file(top.get(), "", status)) { return give_up(*failure); }
        } else {
            return give_up(path + " is neither a file nor a directory");
        }
        out_.push_back('e');
        if (!flush()) { return because("can't send", errno); }
        return std::nullopt;
    }

private:
    Failure give_up(const std::string& why) {
        if (out_.empty()) { out_.append(magic); }
        out_.append("x").append(why).push_back('\0');
        flush();
        return why;
    }

    void field(std::string_view text) { out_.append(text).push_back('\0'); }
    void entry(char kind, std::string_view path, const struct stat& status) {
        out_.push_back(kind);
        field(path);
        field(std::to_string(status.st_mode & 07777U));
        field(std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec));
    }

    bool flush() {
        const bool written = write_all(stream_, out_);
        out_.clear();
        return written;
    }

    Failure file(int fd, const std::string& path, const struct stat& status) {
        entry('f', path, status);
        std::string piece(piece_bytes, '\0');
        for (;;) {
            const ssize_t count = ::read(fd, piece.data(), piece.size());
            if (count < 0 && errno == EINTR) { continue; }
            if (count < 0) {
                const int error_number = errno;
                field("0"); // what follows is an entry again
                return because("can't read " + path, error_number);
            }
            field(std::to_string(count));
            out_.append(piece, 0, static_cast<std::size_t>(count));
            if (out_.size() >= piece_bytes && !flush()) { return because("can't send", errno); }
            if (count == 0) { return std::nullopt; }
        }
    }

    Failure directory(int fd, const std::string& path, std::size_t depth) {
        if (depth > max_depth) { return path + " lies too deep"; }
        std::vector<std::string> names;
        DIR* const entries = ::fdopendir(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (entries == nullptr) { return because("can't list " + path, errno); }
        while (const dirent* found = ::readdir(entries)) {
            const std::string_view name = found->d_name;
            if (name != "." && name != "..") { names.emplace_back(name); }
        }
        ::closedir(entries);
        std::sort(names.begin(), names.end());
        for (const std::string& name : names) {
            if (auto failure = member(fd, name, path.empty() ? name : path + "/" + name, depth)) { return failure; }
        }
        return std::nullopt;
    }

    Failure member(int parent, const std::string& name, const std::string& path, std::size_t depth) {
        struct stat status {};
        if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            return errno == ENOENT ? Failure() : because("can't look at " + path, errno); // it went meanwhile
        }
        if (S_ISLNK(status.st_mode)) {
            std::string target(static_cast<std::size_t>(std::max<off_t>(status.st_size, 0)) + 4096, '\0');
            const ssize_t size = ::readlinkat(parent, name.c_str(), target.data(), target.size());
            if (size < 0) { return because("can't read the link " + path, errno); }
            out_.push_back('l');
            field(path);
            field(std::string_view(target).substr(0, static_cast<std::size_t>(size)));
            return std::nullopt;
        }
        if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) {
            out_.push_back('w');
            field(path + " is neither a file, a directory nor a link; left out");
            return std::nullopt;
        }
        const File opened(::openat(parent, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
        if (!opened.open() || ::fstat(opened.get(), &status) != 0) { return because("can't read " + path, errno); }
        if (S_ISREG(status.st_mode)) { return file(opened.get(), path, status); }
        entry('d', path, status);
        return directory(opened.get(), path, depth + 1);
    }

    int stream_;
    std::string out_;
};

// ---- receiving

class Input {
public:
    explicit Input(int fd) : fd_(fd) {}

    bool byte(char& c) {
        if (at_ == end_ && !fill()) { return false; }
        c = buffer_[at_++];
        return true;
    }
    bool field(std::string& text) {
        text.clear();
        for (char c = 0; byte(c);) {
            if (c == '\0') { return true; }
            if (text.size() == max_field) { return false; }
            text.push_back(c);
        }
        return false;
    }
    template <typename Number> bool number(Number& value) {
        std::string text;
        if (!field(text)) { return false; }
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc() && end == text.data() + text.size();
    }
    /// Some of the next `most` bytes; none: the stream has ended.
    std::string_view some(std::size_t most) {
        if (at_ == end_ && !fill()) { return {}; }
        const std::size_t size = std::min(most, end_ - at_);
        at_ += size;
        return {buffer_.data() + at_ - size, size};
    }

private:
    bool fill() {
        ssize_t count = 0;
        do { count = ::read(fd_, buffer_.data(), buffer_.size()); } while (count < 0 && errno == EINTR);
        at_ = 0;
        end_ = static_cast<std::size_t>(std::max<ssize_t>(count, 0));
        return end_ != 0;
    }

    int fd_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;
    std::array<char, piece_bytes> buffer_{};
};

struct Entry {
    std::string path;
    mode_t mode = 0;
    timespec mtime{};
};

/// Relative, with no part that leads elsewhere.
bool is_within(std::string_view path) {
    if (path.empty()) { return true; }
    for (;;) {
        const std::size_t end = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, end);
        if (part.empty() || part == "." || part == "..") { return false; }
        if (end == path.size()) { return true; }
        path.remove_prefix(end + 1);
    }
}

void remove_tree_at(int parent, const std::string& name) {
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) { return; }
    const File directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory.open()) { return; }
    ::fchmod(directory.get(), 0700);
    std::vector<std::string> names;
    if (DIR* const entries = ::fdopendir(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)); entries != nullptr) {
        while (const dirent* found = ::readdir(entries)) {
            const std::string_view each = found->d_name;
            if (each != "." && each != "..") { names.emplace_back(each); }
        }
        ::closedir(entries);
    }
    for (const std::string& each : names) { remove_tree_at(directory.get(), each); }
    ::unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

class Receiver {
public:
    Receiver(int stream, std::vector<std::string>& warnings) : in_(stream), warnings_(warnings) {}

    Failure receive(const std::string& target, const std::string& name) {
        if (auto failure = begin()) { return failure; }
        char kind = 0;
        if (!in_.byte(kind)) { return cut_short(); }
        if (kind == 'x') { return given_up(); }
        if (kind != 'd' && kind != 'f') { return malformed(); }
        Entry top;
        if (!read_entry(top) || !top.path.empty()) { return malformed(); }
        if (auto failure = find_place(target, name)) { return failure; }
        const File parent(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!parent.open()) { return because("can't write in " + directory_, errno); }
        part_ = "." + name_.substr(0, 200) + ".part" + std::to_string(::getpid());
        const Failure failure = kind == 'f' ? one_file(parent.get(), top) : tree(parent.get(), top);
        if (failure) { remove_tree_at(parent.get(), part_); }
        return failure;
    }

private:
    Failure begin() {
        for (const char expected : magic) {
            char c = 0;
            if (!in_.byte(c)) { return cut_short(); }
            if (c != expected) { return malformed(); }
        }
        return std::nullopt;
    }
    static Failure cut_short() { return "the stream ended before its end"; }
    static Failure malformed() { return "the stream is none of this program's"; }
    Failure given_up() {
        std::string why;
        return in_.field(why) ? Failure(why) : cut_short();
    }

    /// `directory_` and `name_`, where it is to appear.
    Failure find_place(const std::string& target, const std::string& name) {
        struct stat status {};
        const bool exists = ::stat(target.c_str(), &status) == 0;
        if (exists && S_ISDIR(status.st_mode)) {
            directory_ = target;
            name_ = name;
        } else {
            if (target.empty() || target.back() == '/') { return "there is no directory " + target; }
            const std::size_t slash = target.rfind('/');
            directory_ = slash == std::string::npos ? "." : slash == 0 ? "/" : target.substr(0, slash);
            name_ = slash == std::string::npos ? target : target.substr(slash + 1);
        }
        if (name_.empty() || !is_within(name_) || name_.find('/') != std::string::npos) {
            return "no file can be called " + name_;
        }
        return std::nullopt;
    }

    bool read_entry(Entry& entry) {
        std::string moment;
        if (!in_.field(entry.path) || !is_within(entry.path) || !in_.number(entry.mode) || !in_.field(moment)) {
            return false;
        }
        entry.mode &= 0777U;
        const std::size_t dot = moment.find('.');
        const auto parse = [](std::string_view text, auto& value) {
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            return error == std::errc() && end == text.data() + text.size();
        };
        return dot != std::string::npos && parse(std::string_view(moment).substr(0, dot), entry.mtime.tv_sec) &&
               parse(std::string_view(moment).substr(dot + 1), entry.mtime.tv_nsec) && entry.mtime.tv_nsec >= 0 &&
               entry.mtime.tv_nsec < 1'000'000'000;
    }

    /// The pieces of a file, into a new one of this name.
    Failure write_file(int parent, const std::string& name, const Entry& entry, bool to_disk) {
        const File file(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!file.open()) { return because("can't make " + shown(entry.path), errno); }
        for (;;) {
            std::size_t left = 0;
            if (!in_.number(left)) { return malformed(); }
            if (left == 0) { break; }
            while (left != 0) {
                const std::string_view bytes = in_.some(left);
                if (bytes.empty()) { return cut_short(); }
                if (!write_all(file.get(), bytes)) { return because("can't write " + shown(entry.path), errno); }
                left -= bytes.size();
            }
        }
        const std::array<timespec, 2> times{{{0, UTIME_NOW}, entry.mtime}};
        if (::fchmod(file.get(), entry.mode) != 0 || ::futimens(file.get(), times.data()) != 0 ||
            (to_disk && ::fsync(file.get()) != 0)) {
            return because("can't write " + shown(entry.path), errno);
        }
        return std::nullopt;
    }

    [[nodiscard]] std::string shown(const std::string& path) const {
        return directory_ + (directory_.ends_with('/') ? "" : "/") + name_ + (path.empty() ? "" : "/" + path);
    }

    Failure end_of_stream() {
        for (char kind = 0; in_.byte(kind);) {
            if (kind == 'e') { return std::nullopt; }
            if (kind == 'x') { return given_up(); }
            std::string text;
            if (kind != 'w' || !in_.field(text)) { return malformed(); }
            warnings_.push_back(std::move(text));
        }
        return cut_short();
    }

    Failure one_file(int parent, const Entry& top) {
        if (auto failure = write_file(parent, part_, top, true)) { return failure; }
        if (auto failure = end_of_stream()) { return failure; }
        struct stat status {};
        if (::fstatat(parent, name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode)) {
            return shown("") + " is a directory";
        }
        if (::renameat(parent, part_.c_str(), parent, name_.c_str()) != 0) {
            return because("can't make " + shown(""), errno);
        }
        return std::nullopt;
    }

    Failure tree(int parent, const Entry& top) {
        struct stat status {};
        const bool exists = ::fstatat(parent, name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (exists && !S_ISDIR(status.st_mode)) { return shown("") + " is there already, and no directory"; }
        merging_ = exists;
        if (!exists && ::mkdirat(parent, part_.c_str(), 0700) != 0) {
            return because("can't make " + shown(""), errno);
        }
        const File root(
            ::openat(parent, (exists ? name_ : part_).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!root.open()) { return because("can't write in " + shown(""), errno); }
        if (auto failure = members(root.get())) { return failure; }
        for (auto each = directories_.rbegin(); each != directories_.rend(); ++each) { settle(root.get(), *each); }
        if (exists) { return std::nullopt; }
        const std::array<timespec, 2> times{{{0, UTIME_NOW}, top.mtime}};
        ::fchmod(root.get(), top.mode);
        ::futimens(root.get(), times.data());
        if (::renameat(parent, part_.c_str(), parent, name_.c_str()) != 0) {
            return because("can't make " + shown(""), errno);
        }
        return std::nullopt;
    }

    Failure members(int root) {
        for (char kind = 0; in_.byte(kind);) {
            Failure failure;
            std::string text;
            switch (kind) {
            case 'e': return std::nullopt;
            case 'x': return given_up();
            case 'w':
                if (!in_.field(text)) { return malformed(); }
                warnings_.push_back(std::move(text));
                break;
            case 'd':
            case 'f': failure = member(root, kind == 'd'); break;
            case 'l': failure = link(root); break;
            default: return malformed(); // a byte of the other side's, not an enumeration
            }
            if (failure) { return failure; }
        }
        return cut_short();
    }

    /// The directory that holds `path`, whose last part is `name`; no link on the way is followed.
    static int open_parent(int root, const std::string& path, std::string& name) {
        int at = ::fcntl(root, F_DUPFD_CLOEXEC, 3);
        std::string_view rest = path;
        for (std::size_t slash = 0; at >= 0 && (slash = rest.find('/')) != std::string_view::npos;) {
            const std::string part(rest.substr(0, slash));
            const int next = ::openat(at, part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            const int error_number = errno;
            ::close(at);
            errno = error_number;
            at = next;
            rest.remove_prefix(slash + 1);
        }
        name = rest;
        return at;
    }

    Failure member(int root, bool is_directory) {
        Entry entry;
        if (!read_entry(entry) || entry.path.empty()) { return malformed(); }
        std::string name;
        const File parent(open_parent(root, entry.path, name));
        if (!parent.open()) { return because("can't make " + shown(entry.path), errno); }
        if (is_directory) {
            const bool made = ::mkdirat(parent.get(), name.c_str(), 0700) == 0;
            if (!made && (errno != EEXIST || !merging_)) { return because("can't make " + shown(entry.path), errno); }
            if (made) { directories_.push_back(std::move(entry)); }
            return std::nullopt;
        }
        if (!merging_) { return write_file(parent.get(), name, entry, false); }
        const std::string part = "." + name.substr(0, 200) + ".part" + std::to_string(::getpid());
        Failure failure = write_file(parent.get(), part, entry, false);
        if (!failure && ::renameat(parent.get(), part.c_str(), parent.get(), name.c_str()) != 0) {
            failure = because("can't make " + shown(entry.path), errno);
        }
        if (failure) { ::unlinkat(parent.get(), part.c_str(), 0); }
        return failure;
    }

    Failure link(int root) {
        Entry entry;
        std::string target;
        if (!in_.field(entry.path) || entry.path.empty() || !is_within(entry.path) || !in_.field(target)) {
            return malformed();
        }
        std::string name;
        const File parent(open_parent(root, entry.path, name));
        if (!parent.open()) { return because("can't make " + shown(entry.path), errno); }
        if (merging_) { ::unlinkat(parent.get(), name.c_str(), 0); }
        if (::symlinkat(target.c_str(), parent.get(), name.c_str()) != 0) {
            return because("can't make the link " + shown(entry.path), errno);
        }
        return std::nullopt;
    }

    /// A directory's own mode and time, once all is in it.
    static void settle(int root, const Entry& entry) {
        std::string name;
        const File parent(open_parent(root, entry.path, name));
        if (!parent.open()) { return; }
        const File directory(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!directory.open()) { return; }
        const std::array<timespec, 2> times{{{0, UTIME_NOW}, entry.mtime}};
        ::fchmod(directory.get(), entry.mode);
        ::futimens(directory.get(), times.data());
    }

    Input in_;
    std::vector<std::string>& warnings_;
    std::string directory_;
    std::string name_;
    std::string part_; ///< its name until it is whole
    bool merging_ = false;
    std::vector<Entry> directories_; ///< those that were made here
};

void say(std::string text) {
    write_all(STDERR_FILENO, text.append("\n"));
}

} // namespace

Failure send(int stream, const std::string& path) {
    return Sender(stream).send(path);
}

Failure receive(int stream, const std::string& target, const std::string& name, std::vector<std::string>& warnings) {
    return Receiver(stream, warnings).receive(target, name);
}

std::optional<int> run(const std::vector<std::string>& argv) {
    const bool sends = argv.size() == 2 && argv[0] == send_command;
    if (!sends && (argv.size() != 3 || argv[0] != receive_command)) { return std::nullopt; }
    ::signal(SIGHUP, SIG_IGN);                                  // a client that is gone shows as the end of its stream
    if (sends) { return send(STDOUT_FILENO, argv[1]) ? 1 : 0; } // why not is in the stream
    std::vector<std::string> warnings;
    const Failure failure = receive(STDIN_FILENO, argv[1], argv[2], warnings);
    for (const std::string& warning : warnings) { say(warning); }
    if (failure) { say(*failure); }
    return failure ? 1 : 0;
}

} // namespace microvmc::copy
