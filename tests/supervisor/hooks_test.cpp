#include "runtime/error.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

// What runs on the host before a machine starts and after it has ended.

namespace microvmc::test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

class Hooks : public MachineTest {
protected:
    using Argv = std::vector<std::string>;

    std::string story() const { return directory_ + "/story"; }
    /// Adds a line to the story.
    Argv tell(const std::string& text) const { return {"sh", "-c", "echo " + text + " >> " + story()}; }
    Launch telling(const std::string& text) const {
        return plain({"/bin/sh", "-c", "echo " + text + " >> " + story()});
    }
    std::string failure_of(const Launch& launch) {
        try {
            start(launch);
        } catch (const Error& error) { return error.what(); }
        return "it started";
    }
};

} // namespace

TEST_F(Hooks, RunBeforeAndAfterInOrder) {
    Launch launch = telling("machine");
    launch.pre_start = {tell("one '$MICROVMC_PROJECT' '$MICROVMC_VM'"), tell("two")};
    launch.pre_start.front().back() = "echo one $MICROVMC_PROJECT/$MICROVMC_VM >> " + story();
    launch.release = {tell("released"), {"false"}, tell("not reached")};
    launch.post_stop = {tell("three"), tell("four")};
    start(launch);
    ended();
    EXPECT_EQ(read_text(story()),
              "one " + launch.project + "/" + launch.vm + "\ntwo\nmachine\nreleased\nthree\nfour\n");
    EXPECT_THAT(vmm_log(), HasSubstr("pre-start: sh -c echo two"));
}

TEST_F(Hooks, AfterAKillToo) {
    Launch launch = plain({"/bin/cat"});
    launch.post_stop = {tell("after")};
    start(launch);
    EXPECT_EQ(stop_machine(run_, 0ms, StopKind::kill).kind, StopOutcome::Kind::killed);
    EXPECT_EQ(read_text(story()), "after\n") << "stop returns when all is done";
}

TEST_F(Hooks, OneThatFailsKeepsTheMachineFromStarting) {
    Launch launch = telling("machine");
    launch.pre_start = {tell("one"), {"sh", "-c", "echo no such bridge >&2; exit 3"}, tell("two")};
    launch.post_stop = {tell("undone")};
    EXPECT_THAT(failure_of(launch),
                HasSubstr("pre-start: sh -c echo no such bridge >&2; exit 3 exited with status 3: no "
                          "such bridge"));
    EXPECT_EQ(read_text(story()), "one\nundone\n");
    EXPECT_EQ(ended().kind, End::Kind::start_failed);
    launch.pre_start = {{"no-such-program"}};
    EXPECT_THAT(failure_of(launch), HasSubstr("can't execute no-such-program: No such file or directory"));
}

TEST_F(Hooks, OneThatTakesTooLongIsKilled) {
    Launch launch = telling("machine");
    launch.startup_timeout_ms = 300;
    launch.pre_start = {{"sh", "-c", "echo waiting; sleep 1000"}};
    EXPECT_THAT(failure_of(launch), HasSubstr("didn't end in time; killed: waiting"));
    EXPECT_FALSE(fs::exists(story()));
}

TEST_F(Hooks, AStopEndsThemAndNoMachineStarts) {
    Launch launch = telling("machine");
    launch.pre_start = {{"sh", "-c", "echo begun > " + story() + "; sleep 1000"}};
    launch.post_stop = {tell("undone")};
    std::thread stopper([this] {
        EXPECT_TRUE(eventually([this] { return read_text(story()) == "begun\n"; }));
        const auto status = machine_status(run_);
        EXPECT_TRUE(status && status->state == MachineState::starting) << "it answers meanwhile";
        stop_machine(run_, 0ms, StopKind::kill);
    });
    EXPECT_NE(failure_of(launch), "it started");
    stopper.join();
    EXPECT_EQ(read_text(story()), "begun\nundone\n");
}

TEST_F(Hooks, AfterTheEndAFailureIsOnlyLogged) {
    Launch launch = plain({"/bin/true"});
    launch.post_stop = {{"sh", "-c", "echo busy >&2; exit 1"}, tell("not reached")};
    start(launch);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
    EXPECT_THAT(vmm_log(), HasSubstr("post-stop: sh -c echo busy >&2; exit 1 exited with status 1: busy"));
    EXPECT_FALSE(fs::exists(story()));
}

TEST_F(Hooks, ARebootIsNoEnd) {
    Launch launch = fake({"hello", "b", "first", directory_ + "/once", "sleep", "50", "end", "reboot", "0", "exit", "0",
                          "then", "print", "again"});
    launch.pre_start = {tell("before")};
    launch.post_stop = {tell("after")};
    start(launch);
    ended();
    EXPECT_EQ(console_log(), "again");
    EXPECT_EQ(read_text(story()), "before\nafter\n");
}

TEST_F(Hooks, TheLockIsNotTheirs) {
    Launch launch = plain({"/bin/true"});
    launch.pre_start = {{"sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo $! > " + story()}};
    start(launch);
    ended();
    EXPECT_TRUE(eventually([this] { return !is_locked(run_); })) << "what a hook left holds it";
    const auto left = static_cast<pid_t>(std::atoi(read_text(story()).c_str()));
    if (left > 0) { ::kill(left, SIGKILL); }
}

} // namespace microvmc::test
