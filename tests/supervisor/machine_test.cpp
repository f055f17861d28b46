#include "tests/supervisor/machine_test.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"
#include "runtime/supervisor/protocol.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>

namespace microvmc::test {

namespace fs = std::filesystem;

MachineTest::MachineTest() : supervisor_(TEST_BINARY_DIR "/runtime/supervisor/microvmc-supervisor") {
    std::string name = (fs::temp_directory_path() / "mvmc-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    run_ = directory_ + "/run";
    state_ = directory_ + "/state";
    fs::create_directory(run_);
    fs::create_directory(state_);
}

MachineTest::~MachineTest() {
    try {
        stop_machine(run_, 0s, StopKind::kill);
    } catch (const Error& error) { ADD_FAILURE() << error.what(); }
    for (const pid_t pid : supervisors_) {
        if (is_locked(run_)) { ::kill(pid, SIGKILL); }
        int status = 0;
        ::waitpid(pid, &status, 0);
        const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        EXPECT_TRUE(killed || status == 0) << "the supervisor's wait status is " << status << "; vmm.log:\n"
                                           << vmm_log();
    }
    EXPECT_TRUE(eventually([this] { return !is_locked(run_); }));
    fs::remove_all(directory_);
}

Launch MachineTest::plain(std::vector<std::string> argv) const {
    Launch launch;
    launch.project = "test";
    launch.vm = fs::path(directory_).filename().string();
    Child vmm;
    vmm.role = "vmm";
    vmm.argv = std::move(argv);
    vmm.console = true;
    launch.children = {vmm};
    launch.ready_kind = "init";
    launch.startup_timeout_ms = 5000;
    launch.shutdown_timeout_ms = 5000;
    launch.runtime_dir = run_;
    launch.console_log = state_ + "/console.log";
    launch.vmm_log = state_ + "/vmm.log";
    launch.end_file = state_ + "/end.json";
    launch.plan = {{"name", launch.vm}};
    return launch;
}

Launch MachineTest::fake(std::vector<std::string> steps) const {
    const std::string socket = run_ + "/agent.sock";
    std::vector<std::string> argv{TEST_BINARY_DIR "/tests/fake_vmm", socket, "listen", "accept"};
    argv.insert(argv.end(), steps.begin(), steps.end());
    Launch launch = plain(std::move(argv));
    launch.agent = {AgentChannel::Kind::unix_stream, socket};
    return launch;
}

Started MachineTest::start(const Launch& launch, const std::vector<supervisor::Credential>& credentials) {
    const Started started = start_supervisor(supervisor_, launch, credentials);
    supervisors_.push_back(started.supervisor);
    return started;
}

Started MachineTest::start_up(const Launch& launch) {
    const Started started = start(launch);
    EXPECT_EQ(await_machine(run_, Goal::agent, 5s).kind, AwaitOutcome::Kind::reached);
    return started;
}

End MachineTest::ended() {
    EXPECT_TRUE(eventually([this] { return !is_locked(run_); }, 15s)) << "it runs on; vmm.log:\n" << vmm_log();
    const auto end = last_end(run_);
    EXPECT_TRUE(end.has_value());
    EXPECT_EQ(end, read_recorded_end(state_ + "/end.json").value_or(RecordedEnd{}).end);
    EXPECT_EQ(names_in(run_), (std::vector<std::string>{"end.json", "lock"}));
    return end.value_or(End{});
}

Fd MachineTest::connect(const std::string& request) const {
    Fd fd = machine::connect_control(run_, machine::Clock::now() + 5s);
    EXPECT_EQ(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    return fd;
}

std::string MachineTest::console_log() const {
    return read_text(state_ + "/console.log");
}
std::string MachineTest::vmm_log() const {
    return read_text(state_ + "/vmm.log");
}

std::string read_text(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds time) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) { return false; }
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

bool runs(pid_t pid) {
    const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
    const std::size_t name_end = stat.rfind(')');
    return name_end != std::string::npos && stat.substr(name_end + 2, 1) != "Z";
}

long peak_memory(pid_t pid) {
    const std::string status = read_text("/proc/" + std::to_string(pid) + "/status");
    const std::size_t line = status.find("VmHWM:");
    return line == std::string::npos ? -1 : std::stol(status.substr(line + 6));
}

std::vector<std::string> names_in(const std::string& path) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) { names.push_back(entry.path().filename().string()); }
    std::ranges::sort(names);
    return names;
}

std::string read_until(int fd, const std::string& text, std::chrono::milliseconds time) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    std::string all;
    std::array<char, 4096> buffer{};
    while (text.empty() || all.find(text) == std::string::npos) {
        pollfd wait{fd, POLLIN, 0};
        if (::poll(&wait, 1, machine::left_until(deadline)) <= 0) { break; }
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count <= 0) { break; }
        all.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return all;
}

} // namespace microvmc::test
