#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>

// Readiness, stopping, rebooting, and how a machine ended.

namespace microvmc::test {

using ::testing::HasSubstr;

class Ready : public MachineTest {};

TEST_F(Ready, TheAgentsHelloIsTheInit) {
    start(fake({"sleep", "50", "hello", "a", "serve"}));
    EXPECT_EQ(await_machine(run_, Goal::vmm, 5s).kind, AwaitOutcome::Kind::reached);
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
    EXPECT_EQ(machine_status(run_)->state, MachineState::ready);
    EXPECT_TRUE(machine_status(run_)->agent);
}

TEST_F(Ready, OtherKindsAreReportedByTheGuest) {
    Launch launch = fake({"hello", "a", "sleep", "200", "ready", "serve"});
    launch.ready_kind = "tcp";
    start_up(launch);
    EXPECT_EQ(machine_status(run_)->state, MachineState::running);
    const AwaitOutcome early = await_machine(run_, Goal::ready, 20ms);
    EXPECT_EQ(early.kind, AwaitOutcome::Kind::timed_out);
    EXPECT_EQ(early.waiting_for, "the guest to be ready (tcp)");
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
}

TEST_F(Ready, TextOnTheConsoleAlsoInPieces) {
    Launch launch = fake({"hello", "a", "ready", "print", "log", "sleep", "50", "print", "in: ", "serve"});
    launch.ready_kind = "console";
    launch.ready_text = "login:";
    start_up(launch);
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
}

TEST_F(Ready, AnExitThatIsMeantAlsoWhenItWasEarlier) {
    Launch launch = fake({"hello", "a", "sleep", "100", "end", "exited", "3"});
    launch.ready_kind = "exit";
    launch.ready_status = 3;
    start(launch);
    for (int i = 0; i < 2; ++i) { // while it runs, and when it is gone
        const AwaitOutcome outcome = await_machine(run_, Goal::ready, 5s);
        EXPECT_EQ(outcome.kind, AwaitOutcome::Kind::reached) << i;
        ASSERT_TRUE(outcome.end) << i;
        EXPECT_EQ(outcome.end->status, 3) << i;
        ended();
    }
}

TEST_F(Ready, AnExitThatIsNotMeant) {
    Launch launch = fake({"hello", "a", "sleep", "100", "end", "exited", "1"});
    launch.ready_kind = "exit";
    start(launch);
    for (int i = 0; i < 2; ++i) {
        const AwaitOutcome outcome = await_machine(run_, Goal::ready, 5s);
        EXPECT_EQ(outcome.kind, AwaitOutcome::Kind::ended) << i;
        ASSERT_TRUE(outcome.end) << i;
        EXPECT_EQ(outcome.end->status, 1) << i;
        ended();
    }
}

TEST_F(Ready, WhatIsWaitedForIsSaid) {
    start(fake({"hang"}));
    const AwaitOutcome outcome = await_machine(run_, Goal::ready, 20ms);
    EXPECT_EQ(outcome.kind, AwaitOutcome::Kind::timed_out);
    EXPECT_EQ(outcome.waiting_for, "the guest's init to come up");
}

class Ending : public MachineTest {
protected:
    End of(const Launch& launch) {
        start(launch);
        return ended();
    }
};

TEST_F(Ending, TheGuestsReportCounts) {
    EXPECT_EQ(of(fake({"hello", "a", "end", "exited", "42"})), (End{End::Kind::exited, 42, ""}));
    EXPECT_EQ(of(fake({"hello", "a", "end", "poweroff", "0"})), (End{End::Kind::poweroff, 0, ""}));
    // Its last words are on the way when the VMM ends, and a panic of PID 1 after them is none.
    EXPECT_EQ(of(fake({"hello", "a", "print", "Kernel panic - not syncing: Attempted to kill init!\n", "end", "exited",
                       "0", "abort"})),
              (End{End::Kind::exited, 0, ""}));
}

TEST_F(Ending, AReportIsHeardHoweverFastTheVmmGoes) {
    for (int i = 0; i < 30; ++i) {
        ASSERT_EQ(of(fake({"hello", "a", "end", "exited", "42"})), (End{End::Kind::exited, 42, ""})) << i << vmm_log();
    }
}

TEST_F(Ending, APanicIsSeenAndQuoted) {
    const End end = of(fake({"hello", "a", "print", "[ 1.0] Kernel pan", "sleep", "20", "print",
                             "ic - not syncing: VFS: Unable to mount root\r\nmore", "exit", "0"}));
    EXPECT_EQ(end, (End{End::Kind::panic, 0, "Kernel panic - not syncing: VFS: Unable to mount root"}));
}

TEST_F(Ending, AVmmThatFailedIsQuoted) {
    const End end = of(fake({"complain", "kvm: it broke\n", "exit", "1"}));
    EXPECT_EQ(end.kind, End::Kind::vmm_crash);
    EXPECT_EQ(end.status, 1);
    EXPECT_EQ(end.detail, "the VMM exited with status 1: kvm: it broke");
}

TEST_F(Ending, AVmmThatWasKilled) {
    const Started started = start_up(fake({"serve"}));
    ::kill(started.vmm, SIGKILL);
    const End end = ended();
    EXPECT_EQ(end.kind, End::Kind::vmm_crash);
    EXPECT_EQ(end.status, 137);
    EXPECT_THAT(end.detail, HasSubstr("was killed by signal 9"));
}

TEST_F(Ending, SuccessWithoutAReportIsAPoweroffOfAGuestThatHadBooted) {
    EXPECT_EQ(of(fake({"hello", "a", "exit", "0"})), (End{End::Kind::poweroff, 0, ""}));
    const End end = of(fake({"exit", "0"}));
    EXPECT_EQ(end.kind, End::Kind::vmm_crash);
    EXPECT_EQ(end.detail, "the VMM exited with status 0 before the guest had booted");
    EXPECT_EQ(of(plain({"/bin/true"})), (End{End::Kind::poweroff, 0, ""})); // nothing could report
}

TEST_F(Ending, AnInitThatFailedSaysWhy) {
    const End end = of(fake({"failed", "volume \"data\" was not found\x1b[2J", "exit", "0"}));
    EXPECT_EQ(end, (End{End::Kind::start_failed, 0, "volume \"data\" was not found[2J"}));
}

TEST_F(Ending, AnEndedGuestWhoseVmmStays) {
    Launch launch = fake({"hello", "a", "end", "exited", "5", "hang"});
    launch.shutdown_timeout_ms = 200;
    EXPECT_EQ(of(launch), (End{End::Kind::exited, 5, ""}));
    EXPECT_THAT(vmm_log(), HasSubstr("exited with status 5, but its VMM didn't end within 0.2s; killed"));
}

TEST_F(Ending, IsToldToThoseWhoWait) {
    Launch launch = fake({"hello", "a", "sleep", "200", "end", "exited", "9"});
    launch.ready_kind = "tcp";
    start(launch);
    const AwaitOutcome outcome = await_machine(run_, Goal::ready, 5s);
    EXPECT_EQ(outcome.kind, AwaitOutcome::Kind::ended);
    EXPECT_EQ(outcome.end, (End{End::Kind::exited, 9, ""}));
}

class Stop : public MachineTest {};

TEST_F(Stop, IsGracefulWhenTheGuestObeys) {
    const Started started = start_up(fake({"serve"}));
    const StopOutcome outcome = stop_machine(run_, 5s);
    EXPECT_EQ(outcome.kind, StopOutcome::Kind::graceful);
    EXPECT_THAT(outcome.detail, ::testing::MatchesRegex("powered off in [0-9]\\.[0-9]s"));
    EXPECT_FALSE(is_locked(run_));
    EXPECT_FALSE(runs(started.vmm));
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::was_not_running);
}

TEST_F(Stop, KillsAtTheDeadline) {
    start_up(fake({"deaf"}));
    const StopOutcome outcome = stop_machine(run_, 300ms);
    EXPECT_EQ(outcome.kind, StopOutcome::Kind::killed);
    EXPECT_EQ(outcome.detail, "didn't end within 0.3s; killed");
    EXPECT_EQ(ended().kind, End::Kind::timed_out);
}

TEST_F(Stop, TheEarliestDeadlineCounts) {
    start_up(fake({"deaf"}));
    const Fd patient = connect("{\"op\":\"stop\",\"kind\":\"poweroff\",\"timeout_ms\":60000}\n");
    ASSERT_TRUE(eventually([this] { return machine_status(run_)->state == MachineState::stopping; }));
    EXPECT_EQ(stop_machine(run_, 200ms).kind, StopOutcome::Kind::killed);
    EXPECT_THAT(read_until(patient.get(), "\n"), HasSubstr("\"outcome\":\"killed\""));
}

TEST_F(Stop, KillsAtOnceWhatCantBeAsked) {
    start(plain({"/bin/cat"}));
    const auto before = std::chrono::steady_clock::now();
    const StopOutcome outcome = stop_machine(run_, 20s);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
    EXPECT_EQ(outcome.kind, StopOutcome::Kind::killed);
    EXPECT_THAT(outcome.detail, HasSubstr("could not be asked"));
    EXPECT_EQ(ended().kind, End::Kind::killed);
}

TEST_F(Stop, WaitsForWhatWasAskedByAnotherWay) {
    start(plain({"/bin/sh", "-c", "sleep 0.2"})); // as if its power button had been pressed
    const StopOutcome outcome = stop_machine(run_, 5s, StopKind::poweroff, true);
    EXPECT_EQ(outcome.kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Stop, AnAgentThatComesUpMeanwhileIsAsked) {
    start(fake({"sleep", "200", "serve"}));
    EXPECT_EQ(stop_machine(run_, 5s, StopKind::poweroff, true).kind, StopOutcome::Kind::graceful);
}

TEST_F(Stop, AnAgentThatWasLostIsFoundAgain) {
    start_up(fake({"hello", "a", "sleep", "200", "hangup", "sleep", "200", "accept", "hello", "a", "serve"}));
    ASSERT_TRUE(eventually([this] { return !machine_status(run_)->agent; }));
    ASSERT_TRUE(eventually([this] { return machine_status(run_)->agent; }));
    EXPECT_EQ(machine_status(run_)->reboots, 0U);
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
}

TEST_F(Stop, AnAgentThatIsLostMeanwhileIsAskedAgain) {
    start_up(fake({"hello", "a", "sleep", "400", "hangup", "accept", "serve"})); // what was sent until then is lost
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
}

TEST_F(Stop, KillIsAtOnce) {
    start_up(fake({"serve"}));
    EXPECT_EQ(stop_machine(run_, 60s, StopKind::kill).kind, StopOutcome::Kind::killed);
    EXPECT_EQ(ended(), (End{End::Kind::killed, 0, "killed on request"}));
}

TEST_F(Stop, DuringTheStart) {
    Launch launch = plain({"/bin/cat"});
    launch.children[0].await_socket = run_ + "/never.sock";
    std::exception_ptr error;
    const Fd stopper = [&] {
        // The start is under way in another process while this one asks.
        const pid_t starter = ::fork();
        if (starter == 0) {
            try {
                start_supervisor(supervisor_, launch);
            } catch (...) { ::_exit(7); }
            ::_exit(0);
        }
        EXPECT_TRUE(eventually([this] { return std::filesystem::exists(run_ + "/control.sock"); }));
        EXPECT_EQ(machine_status(run_)->state, MachineState::starting);
        return connect("{\"op\":\"stop\",\"kind\":\"poweroff\",\"timeout_ms\":5000}\n");
    }();
    EXPECT_THAT(read_until(stopper.get(), "\n"), HasSubstr("\"outcome\":\"killed\""));
    EXPECT_EQ(ended().kind, End::Kind::killed);
}

TEST_F(Stop, SigtermIsAStop) {
    const Started started = start_up(fake({"serve"}));
    ::kill(started.supervisor, SIGTERM);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Stop, HelpersThatIgnoreSigtermAreKilled) {
    Launch launch = fake({"serve"});
    Child helper;
    helper.role = "stubborn";
    helper.argv = {"/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"};
    launch.children.insert(launch.children.begin(), helper);
    start_up(launch);
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_THAT(vmm_log(), HasSubstr("stubborn was killed by signal 9"));
}

class Reboot : public MachineTest {};

TEST_F(Reboot, StartsTheChildrenAgain) {
    Launch launch = fake({"first", state_ + "/mark", "hello", "one", "print", "first boot\n", "end", "reboot", "0",
                          "exit", "0", "then", "print", "second boot\n", "serve"});
    const Started started = start(launch);
    ASSERT_TRUE(eventually([this] { return console_log().find("second boot") != std::string::npos; }));
    ASSERT_EQ(await_machine(run_, Goal::agent, 5s).kind, AwaitOutcome::Kind::reached);
    const auto status = machine_status(run_);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->supervisor, started.supervisor);
    EXPECT_NE(status->vmm, started.vmm);
    EXPECT_EQ(status->reboots, 1U);
    EXPECT_EQ(status->state, MachineState::ready);
    EXPECT_EQ(console_log(), "first boot\nsecond boot\n");
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Reboot, IsAnEndWhenItWasToStop) {
    start_up(fake({"serve"}));
    const Fd console = connect("{\"op\":\"console\"}\n"); // attached: it must not hold up the end
    stop_machine(run_, 5s);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Reboot, InPlaceIsNoticedByTheBoot) {
    Launch launch = fake({"hello", "one", "ready", "sleep", "100", "end", "reboot", "0", "hello", "two", "serve"});
    launch.ready_kind = "tcp";
    const Started started = start(launch);
    ASSERT_TRUE(eventually([this] { return machine_status(run_)->reboots == 1; }));
    EXPECT_EQ(machine_status(run_)->state, MachineState::running); // not ready again
    EXPECT_EQ(machine_status(run_)->vmm, started.vmm);
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Reboot, ThatFailsIsTheEnd) {
    std::filesystem::copy_file(TEST_BINARY_DIR "/tests/fake_vmm", state_ + "/vmm");
    Launch launch = fake({"hello", "one", "sleep", "100", "end", "reboot", "0"});
    launch.children[0].argv[0] = state_ + "/vmm";
    start_up(launch);
    std::filesystem::remove(state_ + "/vmm");
    const End end = ended();
    EXPECT_EQ(end.kind, End::Kind::start_failed);
    EXPECT_THAT(end.detail, HasSubstr("No such file"));
}

} // namespace microvmc::test
