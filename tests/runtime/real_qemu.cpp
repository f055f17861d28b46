#include "tests/runtime/real_qemu.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace microvmc::test {

TemporaryDirectory::TemporaryDirectory() {
    std::string pattern = "/tmp/mvrt-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) { throw std::runtime_error("mkdtemp failed"); }
    path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

Process::Process(const std::vector<std::string>& argv, std::string output) : output_(std::move(output)) {
    std::vector<char*> arguments;
    for (const std::string& argument : argv) { arguments.push_back(const_cast<char*>(argument.c_str())); }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t files{};
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    const int error = ::posix_spawnp(&pid_, arguments[0], &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) { throw std::runtime_error("can't start " + argv.front()); }
}

Process::~Process() {
    if (pid_ < 0) { return; }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

std::optional<int> Process::wait() {
    for (int i = 0; i < 1000; ++i) {
        int status = 0;
        if (::waitpid(pid_, &status, WNOHANG) == pid_) {
            pid_ = -1;
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return std::nullopt;
}

std::string Process::output() const {
    std::ifstream file(output_);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string qemu_program() {
    const std::string path = "/usr/bin/qemu-system-x86_64";
    return ::access(path.c_str(), X_OK) == 0 ? path : std::string();
}

} // namespace microvmc::test
