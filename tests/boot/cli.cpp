#include "tests/boot/cli.h"

#include <boost/asio.hpp>
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace microvmc::boot {

namespace fs = std::filesystem;

namespace {

std::string program() {
    return std::string(TEST_BINARY_DIR) + "/runtime/microvmc";
}

} // namespace

Cli::Cli() {
    std::string pattern = "/tmp/mvtest-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) { throw std::runtime_error("mkdtemp failed"); }
    dir_ = pattern;
    fs::create_directories(state());
    fs::create_directories(runtime());
}

Cli::~Cli() {
    for (const auto& [pid, name] : processes()) { ::kill(pid, SIGKILL); }
    for (int i = 0; i < 200 && !processes().empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::error_code error;
    fs::remove_all(dir_, error);
}

Ran Cli::run(std::vector<std::string> args, std::chrono::seconds timeout) const {
    args.insert(args.begin(), {"env", "MICROVMC_STATE_DIR=" + state(), "MICROVMC_RUNTIME_DIR=" + runtime(), program()});
    RunOptions options;
    options.timeout = timeout;
    options.cwd = dir_;
    return run_program(args, options);
}

pid_t Cli::start(const std::vector<std::string>& args) const {
    std::vector<std::string> words = args;
    words.insert(words.begin(), program());
    std::vector<char*> argv;
    for (std::string& word : words) { argv.push_back(word.data()); }
    argv.push_back(nullptr);
    const std::string output = log();
    const std::string state_dir = state();
    const std::string runtime_dir = runtime();
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::setenv("MICROVMC_STATE_DIR", state_dir.c_str(), 1);
        ::setenv("MICROVMC_RUNTIME_DIR", runtime_dir.c_str(), 1);
        const int fd = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(fd, STDOUT_FILENO);
        ::dup2(fd, STDERR_FILENO);
        if (::chdir(dir_.c_str()) == 0) { ::execv(argv[0], argv.data()); }
        ::_exit(127);
    }
    return pid;
}

std::string Cli::write(const std::string& name, const std::string& text) const {
    const fs::path path = fs::path(dir_) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
}

std::map<pid_t, std::string> Cli::processes() const {
    std::map<pid_t, std::string> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const pid_t pid = std::atoi(entry.path().filename().c_str());
        if (pid <= 0 || pid == ::getpid()) { continue; }
        std::ifstream file(entry.path() / "cmdline", std::ios::binary);
        const std::string line{std::istreambuf_iterator<char>(file), {}};
        if (line.find(dir_) == std::string::npos) { continue; }
        found[pid] = fs::path(line.substr(0, line.find('\0'))).filename().string();
    }
    return found;
}

std::vector<std::string> Cli::leftovers() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(runtime())) {
        const std::string name = entry.path().filename();
        if (!entry.is_directory() && name != "lock" && name != "end.json") { found.push_back(entry.path().string()); }
    }
    for (const auto& entry : fs::recursive_directory_iterator(state())) {
        if (entry.path().extension() == ".part") { found.push_back(entry.path().string()); }
    }
    return found;
}

std::string http_get(std::uint16_t port, const std::string& path, std::chrono::milliseconds within) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    do {
        boost::asio::ip::tcp::iostream stream;
        stream.expires_after(std::chrono::seconds(2));
        stream.connect("127.0.0.1", std::to_string(port));
        stream << "GET " << path << " HTTP/1.0\r\nHost: localhost\r\n\r\n" << std::flush;
        const std::string reply{std::istreambuf_iterator<char>(stream), {}};
        const std::size_t body = reply.find("\r\n\r\n");
        if (reply.find(" 200 ") < 16 && body != std::string::npos) { return reply.substr(body + 4); }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    } while (std::chrono::steady_clock::now() < deadline);
    return {};
}

} // namespace microvmc::boot
