#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace microvmc::test {

/// A directory that goes with everything in it.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// A process, its input empty and its output in a file; killed when it still runs at the end.
class Process {
public:
    Process(const std::vector<std::string>& argv, std::string output);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Waits for its end, 10 s at most; its exit status, 128 + N for a signal, nothing when it goes on.
    std::optional<int> wait();
    [[nodiscard]] std::string output() const;

private:
    pid_t pid_ = -1;
    std::string output_;
};

/// The installed qemu-system-x86_64; empty when there is none.
std::string qemu_program();

} // namespace microvmc::test
