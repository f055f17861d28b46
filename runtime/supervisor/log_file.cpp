#include "runtime/supervisor/log_file.h"

#include "runtime/error.h"
#include "runtime/supervisor/protocol.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>

namespace microvmc::supervisor {

namespace {

constexpr std::int64_t stamp_step_ms = 100; ///< a guest that writes all the time gets no stamp for each byte

std::uint64_t size_of(int fd) {
    struct stat status {};
    return fd >= 0 && ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

bool append(int fd, std::string_view bytes, std::uint64_t& size) {
    while (fd >= 0 && !bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return false; }
        size += static_cast<std::uint64_t>(count);
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

int open_log(const std::string& path) {
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
}

} // namespace

LogFile::LogFile(std::string path, std::uint64_t limit, Stamps stamps)
    : path_(std::move(path)), limit_(limit), stamps_(stamps) {
    if (!reopen()) {
        throw Error("can't open the log " + path_ + ": " + std::strerror(errno), "make its directory writable");
    }
}

bool LogFile::reopen() {
    fd_.reset(open_log(path_));
    const int error = errno;
    size_ = size_of(fd_.get());
    if (stamps_ == Stamps::beside) {
        times_.reset(open_log(stamps_path(path_)));
        times_size_ = size_of(times_.get());
    }
    stamped_ms_ = 0;
    errno = error;
    return static_cast<bool>(fd_);
}

void LogFile::stamp() {
    const std::int64_t now = wall_clock_ms();
    if (now - stamped_ms_ < stamp_step_ms && now >= stamped_ms_) { return; }
    stamped_ms_ = now;
    append(times_.get(), std::to_string(size_) + " " + std::to_string(now) + "\n", times_size_);
}

void LogFile::write(std::string_view bytes) {
    if (size_ >= limit_ || times_size_ >= limit_ / 4) {
        const std::string full = path_ + ".1";
        std::rename(path_.c_str(), full.c_str());
        std::rename(stamps_path(path_).c_str(), stamps_path(full).c_str());
        reopen();
    }
    if (times_) { stamp(); }
    append(fd_.get(), bytes, size_);
}

void LogFile::line(std::string_view text) {
    std::string out = utc_time(wall_clock_ms() / 1000 * 1000);
    out.replace(out.find('.'), 4, ""); // whole seconds do for people
    write(out.append(" supervisor: ").append(text).append("\n"));
}

std::int64_t wall_clock_ms() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::string utc_time(std::int64_t ms) {
    const auto seconds = static_cast<std::time_t>(ms / 1000);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 32> stamp{};
    std::string out(stamp.data(), std::strftime(stamp.data(), stamp.size(), "%Y-%m-%dT%H:%M:%S", &parts));
    const std::string thousandths = std::to_string(1000 + ms % 1000).substr(1);
    return out.append(".").append(thousandths).append("Z");
}

} // namespace microvmc::supervisor
