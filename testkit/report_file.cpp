#include "testkit/report_file.h"

#include "runtime/commands/inputs.h"
#include "runtime/error.h"
#include "runtime/fd.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::testkit {

ReportFile::ReportFile(const std::string& path) : path_(absolute_path(path)) {
    struct stat status {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) { throw Error(fmt::format("{} is a directory", path)); }
    if (!exists || S_ISREG(status.st_mode)) { file_.emplace(path_, 0644); }
}

void ReportFile::write(std::string_view text) {
    if (file_) {
        file_->write(text);
        file_->replace(Sync::whenever);
        return;
    }
    const Fd file(::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) { throw Error(fmt::format("can't write {}: {}", path_, std::strerror(errno))); }
    while (!text.empty()) {
        const ssize_t written = ::write(file.get(), text.data(), text.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written < 0) { throw Error(fmt::format("can't write {}: {}", path_, std::strerror(errno))); }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

} // namespace microvmc::testkit
