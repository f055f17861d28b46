#pragma once

#include "runtime/fd.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace microvmc::supervisor {

/// A log that is appended to, mode 0600; when it is full it is moved to PATH.1, in place of the one before. A write
/// that fails (a full disk) is dropped: a machine doesn't end because it can't be logged.
class LogFile {
public:
    /// Throws Error when it can't be opened.
    explicit LogFile(std::string path, std::uint64_t limit = std::uint64_t{16} << 20U);

    void write(std::string_view bytes);
    /// A line of the supervisor's own: time and text.
    void line(std::string_view text);

private:
    bool reopen();

    std::string path_;
    std::uint64_t limit_;
    std::uint64_t size_ = 0;
    Fd fd_;
};

} // namespace microvmc::supervisor
