#pragma once

#include "runtime/guest/text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The few things of the system that every step needs.

namespace microvmc::guest {

/// A file descriptor that is closed with its owner.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() { reset(); }
    void reset();
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool open() const { return fd_ >= 0; }

private:
    int fd_ = -1;
};

/// Milliseconds of the monotonic clock (since the kernel's start).
std::int64_t now_ms();

/// Microseconds of the same clock.
std::int64_t now_us();

/// At most the first `most` bytes of a file; nothing (and errno) when it can't be read. Works for /proc and /sys.
std::optional<std::string> read_file(const std::string& path, std::size_t most = 1 << 20);

/// Creates or truncates. False and errno when it fails.
bool write_file(const std::string& path, std::string_view text);

/// Writes all of it to a descriptor that blocks.
void write_all(int fd, std::string_view text);

/// The names in a directory but . and .., sorted; none when it can't be read.
std::vector<std::string> list_directory(const std::string& path);

/// Makes the directory and its parents (0755). What is there already is fine.
Failure make_directories(const std::string& path);

/// Removes what lies in the directory, on its own file system only, and the directory when it may be.
void remove_tree(const std::string& path);

/// A line for people on the console ("microvmc-init: ...").
void say(std::string_view message);

/// A line for the kernel's log, at info level: `dmesg` shows it, a quiet console doesn't.
void note(std::string_view message);

void sleep_ms(int milliseconds);

/// Calls `found` until it says true, at first at once, then every `step_ms`. False when `limit_ms` passed.
template <typename Found> bool wait_for(std::int64_t limit_ms, Found found, int step_ms = 1) {
    const std::int64_t deadline = now_ms() + limit_ms;
    while (!found()) {
        if (now_ms() >= deadline) { return false; }
        sleep_ms(step_ms);
    }
    return true;
}

/// How long devices may take to appear after their modules are loaded. Probing takes microseconds to milliseconds; a
/// slow emulated machine gets a thousand times that.
inline constexpr std::int64_t device_wait_ms = 10'000;

} // namespace microvmc::guest
