#include "runtime/error.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>

// Deaths, rubbish and silence.

namespace microvmc::test {

using ::testing::HasSubstr;

class Robust : public MachineTest {};

TEST_F(Robust, AKilledSupervisorTakesItsChildrenAlong) {
    Launch launch = fake({"serve"});
    Child helper;
    helper.role = "helper";
    helper.argv = {"/bin/sleep", "1000"};
    launch.children.insert(launch.children.begin(), helper);
    const Started started = start_up(launch);
    const std::string cgroup = read_text(run_ + "/cgroup");
    ::kill(started.supervisor, SIGKILL);
    EXPECT_TRUE(eventually([&] { return !runs(started.vmm); }));
    EXPECT_TRUE(eventually([this] { return !is_locked(run_); }));
    EXPECT_FALSE(machine_status(run_));
    EXPECT_EQ(stop_machine(run_, 1s).kind, StopOutcome::Kind::was_not_running);
    EXPECT_TRUE(clean_stale(run_));
    EXPECT_EQ(names_in(run_), std::vector<std::string>{"lock"});
    // And the next start is like any other.
    start_up(launch);
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
    if (!cgroup.empty()) { EXPECT_FALSE(std::filesystem::exists(cgroup)); }
}

TEST_F(Robust, AKilledSupervisorsGrandchildrenDontKeepTheLock) {
    const Launch launch = plain({"/bin/sh", "-c", "sleep 1000 & echo $!; wait"});
    const Started started = start(launch);
    ASSERT_TRUE(eventually([this] { return console_log().ends_with("\n"); }));
    const pid_t grandchild = std::stoi(console_log());
    if (read_text(run_ + "/cgroup").empty()) {
        GTEST_SKIP() << "no cgroup can be made here, by which it would be found";
    }
    ::kill(started.supervisor, SIGKILL);
    ASSERT_TRUE(eventually([&] { return !runs(started.vmm); }));
    EXPECT_TRUE(runs(grandchild));
    EXPECT_TRUE(is_locked(run_));
    start(launch);
    EXPECT_FALSE(runs(grandchild));
}

TEST_F(Robust, GrandchildrenEndWithTheMachine) {
    start(plain({"/bin/sh", "-c", "setsid sleep 1000 & echo $!; read line"}));
    ASSERT_TRUE(eventually([this] { return console_log().ends_with("\n"); }));
    const pid_t grandchild = std::stoi(console_log());
    stop_machine(run_, 0s, StopKind::kill);
    EXPECT_FALSE(runs(grandchild));
}

TEST_F(Robust, BothKilled) {
    const Launch launch = fake({"serve"});
    for (int i = 0; i < 5; ++i) {
        const Started started = start(launch);
        std::this_thread::sleep_for(std::chrono::milliseconds(i * 3));
        ::kill(started.supervisor, SIGKILL);
        ::kill(started.vmm, SIGKILL);
    }
    start_up(launch);
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
}

TEST_F(Robust, TheSupervisorKilledDuringAStop) {
    const Started started = start_up(fake({"deaf"}));
    std::thread killer([&] {
        eventually([this] { return machine_status(run_)->state == MachineState::stopping; });
        ::kill(started.supervisor, SIGKILL);
    });
    const StopOutcome outcome = stop_machine(run_, 30s);
    killer.join();
    EXPECT_EQ(outcome.kind, StopOutcome::Kind::killed);
    EXPECT_THAT(outcome.detail, HasSubstr("supervisor died"));
    EXPECT_FALSE(is_locked(run_));
}

TEST_F(Robust, ASupervisorThatDoesntAnswerIsNotWaitedForForever) {
    const Started started = start_up(fake({"serve"}));
    ::kill(started.supervisor, SIGSTOP);
    const auto before = std::chrono::steady_clock::now();
    EXPECT_THROW(machine_status(run_), TimeoutError);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 8s);
    const StopOutcome outcome = stop_machine(run_, 0s, StopKind::kill);
    EXPECT_EQ(outcome.kind, StopOutcome::Kind::killed);
    EXPECT_THAT(outcome.detail, HasSubstr("didn't answer"));
    EXPECT_FALSE(is_locked(run_));
    EXPECT_FALSE(runs(started.vmm));
}

TEST_F(Robust, RubbishFromTheGuestIsSkipped) {
    start(fake({"garbage", "300000", "hello", "a", "garbage", "1000", "send", "100000", "end", "nonsense", "x", "end",
                "exited", "notanumber", "serve"}));
    ASSERT_EQ(await_machine(run_, Goal::agent, 10s).kind, AwaitOutcome::Kind::reached);
    EXPECT_TRUE(machine_status(run_));
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::exited);
}

TEST_F(Robust, NothingButRubbishDoesntKeepItFromAnswering) {
    start(fake({"garbage", "4000000", "accept", "serve"}));
    for (int i = 0; i < 10; ++i) {
        const auto before = std::chrono::steady_clock::now();
        ASSERT_TRUE(machine_status(run_));
        EXPECT_LT(std::chrono::steady_clock::now() - before, 2s);
        std::this_thread::sleep_for(20ms);
    }
    // It was left alone, and then heard again.
    EXPECT_FALSE(machine_status(run_)->agent);
    EXPECT_EQ(await_machine(run_, Goal::agent, 10s).kind, AwaitOutcome::Kind::reached);
}

TEST_F(Robust, ATornFrameDoesntSwallowWhatFollows) {
    // Its sender died in the middle: the rest never comes, and the next says less than that was to be.
    start(fake({"torn", "60000", "serve"}));
    EXPECT_EQ(await_machine(run_, Goal::agent, 5s).kind, AwaitOutcome::Kind::reached);
}

TEST_F(Robust, BadRequestsAreAnswered) {
    start(plain({"/bin/cat"}));
    const auto said = [this](const std::string& request) {
        const Fd fd = connect(request);
        return read_until(fd.get(), "\n");
    };
    EXPECT_THAT(said("rubbish\n"), HasSubstr("\"error\""));
    EXPECT_THAT(said("[]\n"), HasSubstr("\"error\""));
    EXPECT_THAT(said("{\"op\":5}\n"), HasSubstr("\"error\""));
    EXPECT_THAT(said("{\"op\":\"fly\"}\n"), HasSubstr("unknown op \\\"fly\\\""));
    EXPECT_THAT(said("{\"op\":\"stop\"}\n"), HasSubstr("\"error\""));
    EXPECT_THAT(said("{\"op\":\"stop\",\"kind\":\"gently\",\"timeout_ms\":1}\n"), HasSubstr("gently"));
    EXPECT_THAT(said("{\"op\":\"await\",\"for\":\"godot\",\"timeout_ms\":1}\n"), HasSubstr("godot"));
    EXPECT_THAT(said("{\"op\":\"await\",\"for\":\"ready\",\"timeout_ms\":-1}\n"), HasSubstr("negative"));
    EXPECT_THAT(said(std::string(131'100, ' ')), HasSubstr("longer than"));
    EXPECT_TRUE(machine_status(run_));
}

TEST_F(Robust, ManyConnectionsAreBounded) {
    start(plain({"/bin/cat"}));
    std::vector<Fd> idle;
    for (int i = 0; i < 64; ++i) { idle.push_back(connect("{")); }
    EXPECT_THROW(machine_status(run_), Error);
    idle.clear();
    EXPECT_TRUE(eventually([this] {
        try {
            return machine_status(run_).has_value();
        } catch (const Error&) { return false; }
    }));
}

TEST_F(Robust, APanicThatOnlyALogSpeaksOfIsNone) {
    start_up(fake({"print", "Kernel panic - not syncing: of yesterday\n", "serve"}));
    ASSERT_TRUE(eventually([this] { return vmm_log().find("of yesterday") != std::string::npos; }));
    std::this_thread::sleep_for(5'500ms); // the grace that a panicked guest's VMM gets
    EXPECT_TRUE(machine_status(run_));
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Robust, APanicWhoseVmmStaysIsEnded) {
    start(fake({"print", "Kernel panic - not syncing: stuck\n", "hang"}));
    EXPECT_EQ(ended(), (End{End::Kind::panic, 0, "Kernel panic - not syncing: stuck"}));
}

TEST_F(Robust, AnIdleSupervisorIsSmall) {
    const Started started = start_up(fake({"serve"}));
    const std::string memory = read_text("/proc/" + std::to_string(started.supervisor) + "/smaps_rollup");
    const long pss = std::stol(memory.substr(memory.find("\nPss:") + 5));
    RecordProperty("pss_kib", std::to_string(pss));
    if (memory_is_checked) { GTEST_SKIP() << "AddressSanitizer's own memory counts as well: " << pss << " KiB"; }
    EXPECT_LE(pss, 3 * 1024);
}

} // namespace microvmc::test
