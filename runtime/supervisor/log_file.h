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
    /// Whether it is noted when what was written (`stamps_path` of protocol.h), for a log without times of its own.
    enum class Stamps { none, beside };

    /// Throws Error when it can't be opened.
    explicit LogFile(std::string path, std::uint64_t limit = std::uint64_t{16} << 20U, Stamps stamps = Stamps::none);

    void write(std::string_view bytes);
    /// A line of the supervisor's own: time and text.
    void line(std::string_view text);

private:
    bool reopen();
    void stamp();

    std::string path_;
    std::uint64_t limit_;
    Stamps stamps_;
    std::uint64_t size_ = 0;
    Fd fd_;
    Fd times_;
    std::uint64_t times_size_ = 0;
    std::int64_t stamped_ms_ = 0;
};

/// "2026-11-25T21:23:57.123Z" of milliseconds since the epoch.
std::string utc_time(std::int64_t ms);
/// Of the system's clock.
std::int64_t wall_clock_ms();

} // namespace microvmc::supervisor
