#include "runtime/error.h"
#include "runtime/machine_control.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

// A guest that stood still is told so, before it counts as up when it was restored.

namespace microvmc::test {

using ::testing::HasSubstr;

namespace {

class Renew : public MachineTest {
protected:
    Launch restored(std::vector<std::string> steps, bool was_ready = true) const {
        Launch launch = fake(std::move(steps));
        launch.restored = true;
        launch.was_ready = was_ready;
        return launch;
    }
};

} // namespace

TEST_F(Renew, ARestoredGuestIsRenewedBeforeItCountsAsUp) {
    start_up(restored({"hello", "b1", "serve"}));
    EXPECT_TRUE(eventually([this] { return console_log() == "renew restored, 128 digits\n"; })) << console_log();
    // What was ready stays so, whatever makes it so.
    Launch console = restored({"hello", "b1", "serve"});
    stop_machine(run_, 0ms, StopKind::kill);
    console.ready_kind = "console";
    console.ready_text = "never said again";
    start_up(console);
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
}

TEST_F(Renew, OneThatMissedTheQuestionIsAskedAgain) {
    start_up(restored({"miss", "serve"}));
    EXPECT_TRUE(eventually([this] { return console_log() == "renew restored, 128 digits\n"; })) << console_log();
}

TEST_F(Renew, OneThatSaysNothingIsNotUp) {
    start(restored({"hello", "b1", "ready", "hang"}));
    EXPECT_EQ(await_machine(run_, Goal::agent, 300ms).kind, AwaitOutcome::Kind::timed_out);
    EXPECT_EQ(await_machine(run_, Goal::ready, 0ms).kind, AwaitOutcome::Kind::timed_out);
}

TEST_F(Renew, OneThatWasNotReadyIsAwaited) {
    Launch launch = restored({"hello", "b1", "serve"}, false);
    launch.ready_kind = "tcp";
    start_up(launch);
    EXPECT_EQ(await_machine(run_, Goal::ready, 200ms).kind, AwaitOutcome::Kind::timed_out);
}

TEST_F(Renew, AnOlderAgentIsUpWithout) {
    start_up(restored({"version", "2", "hello", "b1", "serve"}));
    EXPECT_THAT(console_log(), ::testing::Not(HasSubstr("renew")));
}

TEST_F(Renew, ARebootIsABoot) {
    const std::string once = directory_ + "/once";
    start(restored({"hello", "b1", "first", once, "sleep", "100", "end", "reboot", "0", "exit", "0", "then", "serve"}));
    EXPECT_TRUE(eventually([this] {
        const auto status = machine_status(run_);
        return status && status->reboots == 1 && status->agent;
    })) << vmm_log();
    EXPECT_THAT(console_log(), ::testing::Not(HasSubstr("renew")));
}

TEST_F(Renew, OnlyTheFirstStartHasTheFirstCommandLine) {
    Launch launch = fake({});
    launch.children.back().first_argv =
        fake({"print", "first", "end", "reboot", "0", "sleep", "100"}).children.back().argv;
    launch.children.back().argv = fake({"print", "again"}).children.back().argv;
    start(launch);
    ended();
    EXPECT_EQ(console_log(), "firstagain");
}

TEST_F(Renew, TheNextBootHasWhatItWasTold) {
    const std::string once = directory_ + "/once";
    start_up(
        fake({"hello", "b", "first", once, "sleep", "300", "end", "reboot", "0", "exit", "0", "then", "print", "old"}));
    std::vector<Child> children = fake({"print", "new"}).children;
    amend_machine(run_, {children, {}});
    ended();
    EXPECT_EQ(console_log(), "new");

    start_up(fake({"hello", "b", "serve"}));
    children.front().argv.front() = "relative";
    EXPECT_THROW(amend_machine(run_, {children, {}}), Error);
    children.front() = fake({}).children.front();
    children.front().role = "another";
    EXPECT_THROW(amend_machine(run_, {children, {}}), Error);
    EXPECT_THROW(amend_machine(run_, {}), Error);
}

TEST_F(Renew, OneThatWasPausedIsToldOnRequest) {
    start_up(fake({"hello", "b1", "serve"}));
    std::string why;
    EXPECT_TRUE(renew_guest(run_, why)) << why;
    // What the guest printed comes another way than its answer.
    EXPECT_TRUE(eventually([this] { return console_log().find("renew resumed") != std::string::npos; }))
        << console_log();
}

TEST_F(Renew, WhyItCouldNotIsSaid) {
    start_up(fake({"stale", "cannot set the clock", "hello", "b1", "serve"}));
    std::string why;
    EXPECT_FALSE(renew_guest(run_, why));
    EXPECT_EQ(why, "cannot set the clock");
    stop_machine(run_, 0ms, StopKind::kill);

    start_up(fake({"version", "2", "hello", "b1", "serve"}));
    EXPECT_FALSE(renew_guest(run_, why));
    EXPECT_THAT(why, HasSubstr("too old"));
    stop_machine(run_, 0ms, StopKind::kill);

    start(plain({"/bin/cat"}));
    EXPECT_FALSE(renew_guest(run_, why));
    EXPECT_THAT(why, HasSubstr("agent isn't up"));
    stop_machine(run_, 0ms, StopKind::kill);

    EXPECT_FALSE(renew_guest(run_, why));
    EXPECT_EQ(why, "it ended");
}

// A guest that dies meanwhile doesn't keep its client.
TEST_F(Renew, AnEndIsAnAnswer) {
    start_up(fake({"hello", "b1", "sleep", "500", "exit", "0"}));
    std::string why;
    EXPECT_FALSE(renew_guest(run_, why));
    EXPECT_NE(why, "");
}

} // namespace microvmc::test
