#include "runtime/error.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <sys/stat.h>

// The agent's channels beside a Unix stream, and the files that a child has.

namespace microvmc::test {

using ::testing::HasSubstr;

class Channels : public MachineTest {
protected:
    Launch vsock(std::vector<std::string> steps) const {
        Launch launch = fake(std::move(steps));
        launch.agent.kind = AgentChannel::Kind::hybrid_vsock;
        launch.agent.port = 4711;
        return launch;
    }
};

TEST_F(Channels, AVsockPortIsAskedForUntilTheGuestListens) {
    // The first connection is refused, as by a guest that doesn't listen yet; the next is cut off in its answer.
    start_up(vsock({"hangup", "accept", "say", "O", "hangup", "accept", "vsock", "4711", "hello", "b1", "serve"}));
    const auto status = machine_status(run_);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->agent);
    stop_machine(run_, 5s);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Channels, WhatAnswersOtherwiseIsNoPort) {
    start(vsock(
        {"say", "NO 1", "accept", "say", std::string(100, 'x'), "accept", "vsock", "4711", "hello", "b1", "serve"}));
    EXPECT_TRUE(eventually([this] {
        const auto status = machine_status(run_);
        return status && status->agent;
    })) << vmm_log();
}

TEST_F(Channels, AVsockGuestThatRebootsInItsVmmIsUpAgain) {
    start_up(vsock({"vsock", "4711", "hello", "b1", "hangup", "accept", "vsock", "4711", "hello", "b2", "serve"}));
    EXPECT_TRUE(eventually([this] {
        const auto status = machine_status(run_);
        return status && status->reboots == 1 && status->agent;
    })) << vmm_log();
}

TEST_F(Channels, ATerminalOfTheVmmsIsFound) {
    Launch launch =
        plain({TEST_BINARY_DIR "/tests/fake_vmm", "none", "sleep", "50", "terminal", "hello", "b1", "serve"});
    launch.agent.kind = AgentChannel::Kind::terminal;
    start_up(launch);
    stop_machine(run_, 5s);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Channels, BytesThatTheVmmTakesForItsOwnComeTwice) {
    Launch launch = plain(
        {TEST_BINARY_DIR "/tests/fake_vmm", "none", "sleep", "50", "terminal", "commanded", "hello", "b1", "serve"});
    launch.agent.kind = AgentChannel::Kind::terminal;
    launch.agent.doubled = "\x01";
    start_up(launch);
    EXPECT_EQ(run_in_machine(run_, {{"show", "a\x01\x01 b\x01"}, {}, {}, false}).out,
              "workdir= [show] [a\x01\x01 b\x01]");
    stop_machine(run_, 5s);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Channels, AVmmConnectsWhereItIsAwaited) {
    const std::string socket = run_ + "/served.sock";
    Launch launch = plain({TEST_BINARY_DIR "/tests/fake_vmm", socket, "connect", "hello", "b1", "serve"});
    launch.agent.kind = AgentChannel::Kind::served;
    launch.agent.socket = socket;
    start_up(launch);
    const auto status = machine_status(run_);
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->agent);
    stop_machine(run_, 5s);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Channels, AChildHasAnEmptyDirectory) {
    const std::string directory = run_ + "/root";
    Launch launch = plain({"/bin/sh", "-c", "ls -A " + directory + "; touch " + directory + "/left; read line"});
    launch.children.back().files = {{directory + "/", ""}};
    start(launch);
    struct stat status {};
    EXPECT_TRUE(eventually([&] { return ::stat((directory + "/left").c_str(), &status) == 0; }));
    ASSERT_EQ(::stat(directory.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_NE(::stat(directory.c_str(), &status), 0) << "it is gone with all that is in it";
}

TEST_F(Channels, AChildHasItsFilesWhileTheMachineIsThere) {
    const std::string file = run_ + "/vmm.json";
    Launch launch = plain({"/bin/sh", "-c", "cat " + file + "; read line"});
    launch.children.back().files = {{file, "{\"a\": 1}"}};
    start(launch);
    EXPECT_TRUE(eventually([this] { return console_log().find("{\"a\": 1}") != std::string::npos; }));
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_NE(::stat(file.c_str(), &status), 0) << "it is gone with the machine";

    launch.children.back().files = {{run_ + "/none/vmm.json", ""}};
    try {
        start(launch);
        ADD_FAILURE() << "it started";
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("none/vmm.json")); }
}

} // namespace microvmc::test
