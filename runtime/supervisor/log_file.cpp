#include "runtime/supervisor/log_file.h"

#include "runtime/error.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>

namespace microvmc::supervisor {

LogFile::LogFile(std::string path, std::uint64_t limit) : path_(std::move(path)), limit_(limit) {
    if (!reopen()) {
        throw Error("can't open the log " + path_ + ": " + std::strerror(errno), "make its directory writable");
    }
}

bool LogFile::reopen() {
    fd_.reset(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
    struct stat status {};
    size_ = fd_ && ::fstat(fd_.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
    return static_cast<bool>(fd_);
}

void LogFile::write(std::string_view bytes) {
    if (size_ >= limit_) {
        std::rename(path_.c_str(), (path_ + ".1").c_str());
        reopen();
    }
    while (fd_ && !bytes.empty()) {
        const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count <= 0) { return; }
        size_ += static_cast<std::uint64_t>(count);
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

void LogFile::line(std::string_view text) {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::array<char, 32> stamp{};
    const std::size_t length = std::strftime(stamp.data(), stamp.size(), "%Y-%m-%dT%H:%M:%SZ ", &parts);
    std::string out(stamp.data(), length);
    write(out.append("supervisor: ").append(text).append("\n"));
}

} // namespace microvmc::supervisor
