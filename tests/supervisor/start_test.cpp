#include "runtime/error.h"
#include "runtime/supervisor/protocol.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

// Starting, the lock, and what a start that fails says.

namespace microvmc::test {

using ::testing::HasSubstr;

template <typename E> std::string message_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const E& error) { return error.what(); }
    return "nothing was thrown";
}

class Start : public MachineTest {};

TEST_F(Start, AMachineThatRunsSaysWhatItIs) {
    const Started started = start(plain({"/bin/cat"}));
    const auto status = machine_status(run_);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->vmm, started.vmm);
    EXPECT_EQ(status->supervisor, started.supervisor);
    EXPECT_EQ(status->state, MachineState::ready) << "without an agent, that it runs is all that can be told";
    EXPECT_FALSE(status->agent);
    EXPECT_EQ(status->plan, (nlohmann::json{{"name", status->vm}}));
    EXPECT_NEAR(static_cast<double>(status->started), static_cast<double>(std::time(nullptr)), 5);
    EXPECT_TRUE(is_locked(run_));
    EXPECT_EQ(read_text("/proc/" + std::to_string(started.vmm) + "/cmdline"), std::string("/bin/cat\0", 9));
}

TEST_F(Start, NothingIsInheritedButTheLock) {
    const int stray = ::open("/etc/passwd", O_RDONLY); // without close-on-exec
    const int high = ::fcntl(stray, F_DUPFD, 200);
    const Started started = start(plain({"/bin/cat"}));
    ::close(stray);
    ::close(high);
    std::vector<std::string> targets;
    const auto look = [&] { // at its own, too, while it begins
        targets.clear();
        for (const auto& name : names_in("/proc/" + std::to_string(started.vmm) + "/fd")) {
            std::error_code gone;
            const std::string file = "/proc/" + std::to_string(started.vmm) + "/fd/" + name;
            targets.push_back(std::filesystem::read_symlink(file, gone));
        }
        return targets.size() == 4;
    };
    eventually(look);
    ASSERT_EQ(targets.size(), 4U) << ::testing::PrintToString(targets);
    EXPECT_THAT(targets[0], HasSubstr("/dev/pts/"));
    EXPECT_EQ(targets[0], targets[1]);
    EXPECT_THAT(targets[2], HasSubstr("pipe:"));
    EXPECT_EQ(targets[3], run_ + "/lock");
    for (const auto& name : names_in("/proc/" + std::to_string(started.supervisor) + "/fd")) {
        std::error_code error;
        const auto target =
            std::filesystem::read_symlink("/proc/" + std::to_string(started.supervisor) + "/fd/" + name, error);
        EXPECT_NE(target, "/etc/passwd");
    }
    EXPECT_EQ(::getsid(started.supervisor), started.supervisor);
    EXPECT_EQ(::getsid(started.vmm), started.vmm);
}

TEST_F(Start, FilesAreTheUsersOwn) {
    start(plain({"/bin/cat"}));
    for (const std::string& file : {run_ + "/machine.json", run_ + "/control.sock", run_ + "/lock",
                                    state_ + "/console.log", state_ + "/vmm.log"}) {
        struct stat status {};
        ASSERT_EQ(::stat(file.c_str(), &status), 0) << file;
        EXPECT_EQ(status.st_mode & 0777U, 0600U) << file;
    }
}

TEST_F(Start, AMissingVmmIsNamedWithTheReason) {
    EXPECT_EQ(message_of<Error>([this] { start(plain({"/nonexistent/vmm"})); }),
              std::filesystem::path(directory_).filename().string() +
                  ": could not be started: vmm: can't execute /nonexistent/vmm: No such file or directory");
    const End end = ended();
    EXPECT_EQ(end.kind, End::Kind::start_failed);
    EXPECT_THAT(end.detail, HasSubstr("No such file or directory"));
}

TEST_F(Start, AMissingSupervisorIsNamed) {
    supervisor_ = "/nonexistent/supervisor";
    EXPECT_THAT(message_of<Error>([this] { start(plain({"/bin/cat"})); }), HasSubstr("/nonexistent/supervisor"));
    EXPECT_FALSE(is_locked(run_));
}

TEST_F(Start, AHelperThatDiesBeforeItListensIsQuoted) {
    Launch launch = plain({"/bin/cat"});
    Child helper;
    helper.role = "virtiofsd";
    helper.argv = {"/bin/sh", "-c", "echo 'no such share' >&2; exit 3"};
    helper.await_socket = run_ + "/fs.sock";
    launch.children.insert(launch.children.begin(), helper);
    EXPECT_THAT(message_of<Error>([&] { start(launch); }), HasSubstr("virtiofsd exited with status 3: no such share"));
    EXPECT_EQ(ended().kind, End::Kind::start_failed);
    EXPECT_THAT(vmm_log(), HasSubstr("no such share\n"));
}

TEST_F(Start, AHelperThatNeverListensIsGivenUp) {
    Launch launch = plain({"/bin/cat"});
    Child helper;
    helper.role = "virtiofsd";
    helper.argv = {"/bin/sleep", "1000"};
    helper.await_socket = run_ + "/fs.sock";
    launch.children.insert(launch.children.begin(), helper);
    launch.startup_timeout_ms = 100;
    EXPECT_THAT(message_of<Error>([&] { start(launch); }),
                HasSubstr("virtiofsd didn't listen on " + helper.await_socket + " within 100 ms"));
    ended();
}

TEST_F(Start, AHelperIsAwaitedWithoutTakingItsOnlyConnection) {
    Launch launch = plain({"/bin/cat"});
    Child helper;
    helper.role = "virtiofsd";
    helper.await_socket = run_ + "/fs.sock";
    helper.argv = {
        TEST_BINARY_DIR "/tests/fake_vmm", helper.await_socket, "sleep", "50", "listen", "accept", "exit", "7"};
    launch.children.insert(launch.children.begin(), helper);
    start(launch);
    EXPECT_TRUE(std::filesystem::is_socket(helper.await_socket));
    const auto status = machine_status(run_);
    ASSERT_TRUE(status);
    EXPECT_THAT(vmm_log(), ::testing::Not(HasSubstr("virtiofsd")));
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_THAT(vmm_log(), HasSubstr("virtiofsd was killed by signal 15")); // the VMM first
    EXPECT_LT(vmm_log().find("vmm was killed by signal 9"), vmm_log().find("virtiofsd was killed"));
}

TEST_F(Start, AVmmThatDiesBeforeItListensIsQuoted) {
    Launch launch =
        plain({TEST_BINARY_DIR "/tests/fake_vmm", run_ + "/x", "complain", "could not open disk\n", "exit", "1"});
    launch.children[0].await_socket = run_ + "/qmp.sock";
    EXPECT_THAT(message_of<Error>([&] { start(launch); }), HasSubstr("vmm exited with status 1: could not open disk"));
}

TEST_F(Start, OnlyOnce) {
    const Launch launch = plain({"/bin/cat"});
    const Started started = start(launch);
    EXPECT_THAT(message_of<TimeoutError>([&] { start(launch); }), HasSubstr("runs already"));
    EXPECT_EQ(machine_status(run_)->vmm, started.vmm); // it wasn't disturbed
}

TEST_F(Start, TheSupervisorItselfRefusesAHeldLock) {
    const Fd lock(::open((run_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
    const int status = std::system((supervisor_ + " " + run_ + " 2>" + state_ + "/err").c_str());
    EXPECT_EQ(WEXITSTATUS(status), supervisor::exit_locked);
    EXPECT_THAT(read_text(state_ + "/err"), HasSubstr(run_ + "/lock is held"));
}

TEST_F(Start, ALockThatADyingVmmHoldsIsAwaited) {
    // Holds the lock as an orphan does: there is no control socket.
    const std::string lock = run_ + "/lock";
    const pid_t holder = ::fork();
    if (holder == 0) {
        const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT, 0600);
        ::flock(fd, LOCK_EX);
        ::usleep(700'000);
        ::_exit(0);
    }
    ASSERT_TRUE(eventually([this] { return is_locked(run_); }));
    start(plain({"/bin/cat"}));
    int status = 0;
    EXPECT_EQ(::waitpid(holder, &status, WNOHANG), holder) << "it was started before the lock was free";
    EXPECT_TRUE(machine_status(run_));
}

TEST_F(Start, ALockThatStaysHeldIsATimeout) {
    const Fd lock(::open((run_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
    const auto before = std::chrono::steady_clock::now();
    EXPECT_THAT(message_of<TimeoutError>([this] { start(plain({"/bin/cat"})); }), HasSubstr("still held"));
    EXPECT_LT(std::chrono::steady_clock::now() - before, 8s);
}

TEST_F(Start, WhatAKilledMachineLeftIsInNobodysWay) {
    Launch launch = fake({"serve"});
    std::ofstream(run_ + "/machine.json") << "rubbish of before";
    std::ofstream(run_ + "/end.json") << "rubbish of before";
    start_up(launch);
    stop_machine(run_, 0s, StopKind::kill);
    // A stale socket, which the VMM refuses to bind: it must be gone before.
    ASSERT_EQ(::mknod(launch.agent.socket.c_str(), S_IFSOCK | 0600, 0), 0);
    start_up(launch);
}

TEST_F(Start, BadDescriptionsAreRefusedWithTheReason) {
    const auto refused = [this](const std::string& text) {
        std::ofstream(run_ + "/machine.json") << text;
        const int status = std::system((supervisor_ + " " + run_ + " 2>" + state_ + "/err").c_str());
        EXPECT_EQ(WEXITSTATUS(status), supervisor::exit_failed) << text;
        return read_text(state_ + "/err");
    };
    EXPECT_THAT(refused("{"), HasSubstr(run_ + "/machine.json is not a launch description"));
    EXPECT_THAT(refused("[]"), HasSubstr("not a launch description"));
    nlohmann::json json = plain({"/bin/cat"});
    json.erase("vm");
    EXPECT_THAT(refused(json.dump()), HasSubstr("'vm' not found"));
    json = plain({"/bin/cat"});
    json["ready_status"] = "no number";
    EXPECT_THAT(refused(json.dump()), HasSubstr("ready_status"));
    json = plain({"/bin/cat"});
    json["agent"]["kind"] = "pigeon";
    EXPECT_THAT(refused(json.dump()), HasSubstr("pigeon"));
    EXPECT_THAT(refused(nlohmann::json(plain({"cat"})).dump()), HasSubstr("not an absolute path"));
    json = plain({"/bin/cat"});
    json["children"] = nlohmann::json::array();
    EXPECT_THAT(refused(json.dump()), HasSubstr("no children"));
    json = plain({"/bin/cat"});
    json["version"] = 2;
    EXPECT_THAT(refused(json.dump()), HasSubstr("version 2"));
    std::filesystem::remove(run_ + "/machine.json");
    const int status = std::system((supervisor_ + " " + run_ + " 2>" + state_ + "/err").c_str());
    EXPECT_EQ(WEXITSTATUS(status), supervisor::exit_failed);
    EXPECT_THAT(read_text(state_ + "/err"), HasSubstr("No such file or directory"));
    EXPECT_EQ(WEXITSTATUS(std::system((supervisor_ + " relative 2>/dev/null").c_str())), supervisor::exit_usage);
}

TEST_F(Start, ALaunchSurvivesItsJson) {
    Launch launch = fake({"serve"});
    launch.ready_kind = "console";
    launch.ready_text = "login:";
    launch.ready_status = 3;
    EXPECT_EQ(nlohmann::json::parse(nlohmann::json(launch).dump()).get<Launch>(), launch);
}

TEST_F(Start, NothingRunsWhereNothingWasStarted) {
    EXPECT_FALSE(machine_status(run_));
    EXPECT_FALSE(machine_status(directory_ + "/nonexistent"));
    EXPECT_FALSE(is_locked(run_));
    EXPECT_EQ(await_machine(run_, Goal::ready, 1s).kind, AwaitOutcome::Kind::not_running);
    EXPECT_EQ(stop_machine(run_, 1s).kind, StopOutcome::Kind::was_not_running);
    EXPECT_TRUE(clean_stale(run_));
    EXPECT_TRUE(clean_stale(directory_ + "/nonexistent"));
    EXPECT_THROW(attach_console(run_), Error);
    EXPECT_THROW(exec_in_machine(run_, {{"true"}, {}, {}, false}), Error);
}

} // namespace microvmc::test
