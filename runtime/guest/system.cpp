#include "runtime/guest/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace microvmc::guest {

void Fd::reset() {
    if (fd_ >= 0) { ::close(fd_); }
    fd_ = -1;
}

std::int64_t now_us() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

std::int64_t now_ms() {
    return now_us() / 1000;
}

void sleep_ms(int milliseconds) {
    const timespec time{milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1'000'000};
    nanosleep(&time, nullptr);
}

std::optional<std::string> read_file(const std::string& path, std::size_t most) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.open()) { return std::nullopt; }
    std::string text;
    constexpr std::size_t step = 4096;
    while (text.size() < most) {
        const std::size_t before = text.size();
        const std::size_t wanted = std::min(std::max(step, before), most - before);
        text.resize(before + wanted);
        const ssize_t got = ::read(file.get(), text.data() + before, wanted);
        text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got < 0) { return std::nullopt; }
        if (got == 0) { break; }
    }
    return text;
}

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written <= 0) { return; }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

bool write_file(const std::string& path, std::string_view text) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    return file.open() && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::vector<std::string> list_directory(const std::string& path) {
    std::vector<std::string> names;
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) { return names; }
    while (const dirent* entry = readdir(directory)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") { names.emplace_back(name); }
    }
    closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
}

Failure make_directories(const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string part = path.substr(0, end);
        if (mkdir(part.c_str(), 0755) != 0) {
            // A read-only parent answers EROFS even when the directory is there.
            const int error_number = errno;
            struct stat found {};
            if (stat(part.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) {
                return with_errno({"cannot make the directory ", part}, error_number);
            }
        }
        if (end == std::string::npos) { return std::nullopt; }
    }
}

namespace {
void remove_below(const std::string& path, dev_t device) {
    for (const auto& name : list_directory(path)) {
        const std::string entry = concat({path, path == "/" ? "" : "/", name});
        struct stat found {};
        if (lstat(entry.c_str(), &found) != 0 || found.st_dev != device) { continue; }
        if (S_ISDIR(found.st_mode)) {
            remove_below(entry, device);
            rmdir(entry.c_str());
        } else {
            unlink(entry.c_str());
        }
    }
}
} // namespace

void remove_tree(const std::string& path) {
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0) { return; }
    remove_below(path, found.st_dev);
    rmdir(path.c_str());
}

void say(std::string_view message) {
    // One write, so that other writers' lines don't cut it.
    write_all(STDERR_FILENO, concat({"microvmc-init: ", message, "\n"}));
}

void note(std::string_view message) {
    const Fd log(::open("/dev/kmsg", O_WRONLY | O_CLOEXEC));
    if (log.open()) { write_all(log.get(), concat({"<6>microvmc-init: ", message, "\n"})); }
}

} // namespace microvmc::guest
