#pragma once

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace microvmc {

/// A directory of its own for each test, on a file system that keeps files on disk.
class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = "/var/tmp/microvmc-test-XXXXXX";
        if (::mkdtemp(name.data()) == nullptr) { throw std::runtime_error("mkdtemp"); }
        path_ = name;
    }
    ~TemporaryDirectory() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::set<std::string> names() const {
        std::set<std::string> all;
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            all.insert(entry.path().filename().string());
        }
        return all;
    }

private:
    std::string path_;
};

/// Runs `work` in a child and kills it (SIGKILL) at a random moment of its first `span`.
inline void kill_during(const std::function<void()>& work, std::chrono::microseconds span, std::mt19937& random) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            work();
        } catch (...) { ::_exit(1); }
        ::_exit(0);
    }
    std::this_thread::sleep_for(
        std::chrono::microseconds(std::uniform_int_distribution<long long>(0, span.count())(random)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

} // namespace microvmc
