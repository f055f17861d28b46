#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <unistd.h>

// Machines that are started again, by their policy or because they lost a process, and what is prepared for helpers.

namespace microvmc::test {

using ::testing::HasSubstr;
using ::testing::Not;

class Restarts : public MachineTest {
protected:
    /// A machine whose first run performs `first` after its hello, and all later ones `later`.
    Launch twice(std::vector<std::string> first, std::vector<std::string> later, const std::string& policy) const {
        std::vector<std::string> steps{"hello", "a", "first", state_ + "/ran"};
        steps.insert(steps.end(), first.begin(), first.end());
        steps.emplace_back("then");
        steps.insert(steps.end(), later.begin(), later.end());
        Launch launch = fake(std::move(steps));
        launch.restart = {policy, 20, 5, 60'000};
        return launch;
    }
    /// With a helper that is killed by itself in the first run, once the VMM has its agent.
    Launch helped(Child::OnDeath on_death) const {
        Launch launch = fake({"hello", "a", "serve"});
        launch.restart.delay_ms = 20;
        const std::string marker = state_ + "/helper-ran";
        launch.children.insert(launch.children.begin(),
                               {.role = "helper",
                                .argv = {"/bin/sh", "-c",
                                         "test -e " + marker + " || { : >" + marker +
                                             "; sleep 0.3; echo hopeless >&2; kill -9 $$; }; sleep 100"},
                                .on_death = on_death});
        return launch;
    }
    std::uint32_t restarts() {
        const auto status = machine_status(run_);
        return status ? status->restarts : 0;
    }
};

TEST_F(Restarts, AfterAFailure) {
    start(twice({"sleep", "50", "complain", "boom", "exit", "3"}, {"serve"}, "on-failure"));
    ASSERT_TRUE(eventually([&] { return restarts() == 1; }));
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
    const auto status = machine_status(run_);
    ASSERT_TRUE(status && status->last_end);
    EXPECT_EQ(status->state, MachineState::ready);
    EXPECT_EQ(status->reboots, 0U);
    EXPECT_EQ(status->last_end->kind, End::Kind::vmm_crash);
    EXPECT_THAT(status->last_end->detail, HasSubstr("boom"));
}

TEST_F(Restarts, WhoWaitsForItIsToldWhenItIsReadyAtLast) {
    Launch launch = twice({"exit", "3"}, {"ready", "serve"}, "on-failure");
    launch.ready_kind = "tcp";
    start(launch);
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
    EXPECT_EQ(restarts(), 1U);
}

TEST_F(Restarts, NotWhenItPoweredOff) {
    start(twice({"end", "poweroff", "0"}, {"serve"}, "on-failure"));
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Restarts, AlwaysMeansAfterAPoweroffToo) {
    start(twice({"end", "poweroff", "0"}, {"serve"}, "always"));
    EXPECT_TRUE(eventually([&] { return restarts() == 1; }));
}

TEST_F(Restarts, NotWithoutAPolicy) {
    start(twice({"exit", "3"}, {"serve"}, "no"));
    EXPECT_EQ(ended().kind, End::Kind::vmm_crash);
}

TEST_F(Restarts, NotWhenItWasStopped) {
    start_up(twice({"serve"}, {"serve"}, "always"));
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Restarts, NotAfterAnEndThatReadyMeant) {
    Launch launch = twice({"end", "exited", "0"}, {"serve"}, "always");
    launch.ready_kind = "exit";
    start(launch);
    EXPECT_EQ(ended().kind, End::Kind::exited);
}

TEST_F(Restarts, SoOftenInARowAndLaterEachTime) {
    Launch launch = fake({"complain", "again\n", "exit", "1"});
    launch.restart = {"on-failure", 50, 3, 60'000};
    const auto begin = std::chrono::steady_clock::now();
    start(launch);
    EXPECT_EQ(ended().kind, End::Kind::vmm_crash);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 50ms + 100ms + 200ms);
    const std::string log = "\n" + vmm_log(); // a line of its own, not the end of another's
    std::size_t runs = 0;
    for (std::size_t at = log.find("\nagain\n"); at != std::string::npos; at = log.find("\nagain\n", at + 1)) {
        ++runs;
    }
    EXPECT_EQ(runs, 4U) << log;
}

TEST_F(Restarts, WhatWasStableStartsCountingAnew) {
    Launch launch = fake({"hello", "a", "sleep", "100", "exit", "1"});
    launch.restart = {"on-failure", 10, 1, 20};
    start(launch);
    EXPECT_TRUE(eventually([&] { return restarts() >= 3; }, 15s));
}

TEST_F(Restarts, OneThatWaitsIsStoppedAtOnce) {
    Launch launch = fake({"exit", "1"});
    launch.restart.policy = "always";
    launch.restart.delay_ms = 3'600'000;
    start(launch);
    ASSERT_TRUE(eventually([&] { return machine_status(run_)->state == MachineState::restarting; }));
    EXPECT_THAT(await_machine(run_, Goal::ready, 10ms).waiting_for, HasSubstr("to be started again in 3600s"));
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::vmm_crash);
}

TEST_F(Restarts, WhoWaitsForTheEndIsToldOfTheLastOne) {
    Launch launch = fake({"hello", "a", "sleep", "50", "exit", "7"});
    launch.restart = {"on-failure", 10, 2, 60'000};
    start(launch);
    const AwaitOutcome outcome = await_machine(run_, Goal::end, 10s);
    ASSERT_EQ(outcome.kind, AwaitOutcome::Kind::ended);
    EXPECT_EQ(outcome.end->status, 7);
    EXPECT_THAT(vmm_log(), HasSubstr("for the 2. time of 2"));
}

TEST_F(Restarts, AnUpgradeKeepsCount) {
    start(twice({"sleep", "50", "exit", "3"}, {"serve"}, "on-failure"));
    ASSERT_TRUE(eventually([&] { return restarts() == 1; }));
    ASSERT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
    const std::string copy = state_ + "/supervisor";
    std::filesystem::copy_file(supervisor_, copy);
    ASSERT_TRUE(eventually([&] { return upgrade_supervisor(run_, copy).kind == UpgradeOutcome::Kind::upgraded; }));
    EXPECT_EQ(restarts(), 1U);
    EXPECT_EQ(machine_status(run_)->last_end->kind, End::Kind::vmm_crash);
}

TEST_F(Restarts, AMachineThatLostItsHelperIsStartedAgain) {
    start_up(helped(Child::OnDeath::restart));
    ASSERT_TRUE(eventually([&] { return restarts() == 1; }));
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
    const auto status = machine_status(run_);
    ASSERT_TRUE(status && status->last_end);
    EXPECT_EQ(status->last_end->kind, End::Kind::helper_crash);
    EXPECT_THAT(status->last_end->detail, HasSubstr("helper was killed by signal 9 (Killed): hopeless"));
    EXPECT_THAT(vmm_log(), HasSubstr("the guest reports: powered off")); // it was asked, not killed
}

TEST_F(Restarts, OrStopped) {
    start_up(helped(Child::OnDeath::stop));
    EXPECT_EQ(ended().kind, End::Kind::helper_crash);
}

TEST_F(Restarts, OrGoesOn) {
    start_up(helped(Child::OnDeath::nothing));
    ASSERT_TRUE(eventually([&] { return vmm_log().find("helper was killed") != std::string::npos; }));
    EXPECT_EQ(machine_status(run_)->state, MachineState::ready);
}

TEST_F(Restarts, AHelperThatEndsWithItsVmmIsNotLost) {
    Launch launch = fake({"hello", "a", "sleep", "300", "end", "poweroff", "0"});
    launch.children.insert(launch.children.begin(),
                           {.role = "helper", .argv = {"/bin/sleep", "0.2"}, .on_death = Child::OnDeath::stop});
    start(launch);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Restarts, NorOneThatEndsBeforeASlowVmmWhoseGuestHasEnded) {
    Launch launch = fake({"hello", "a", "end", "poweroff", "0", "sleep", "1500", "exit", "0"});
    launch.children.insert(launch.children.begin(),
                           {.role = "helper", .argv = {"/bin/sleep", "0.2"}, .on_death = Child::OnDeath::stop});
    start(launch);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

class Helpers : public MachineTest {};

TEST_F(Helpers, AreGivenTheSocketThatTheyServe) {
    Launch launch = plain({"/bin/sleep", "100"});
    const std::string socket = run_ + "/helper.sock";
    launch.children.insert(launch.children.begin(),
                           {.role = "helper",
                            .argv = {"/bin/sh", "-c", "echo given $0 >&2; ls -l /proc/$$/fd/${0#--fd=} >&2; sleep 100"},
                            .listen = socket});
    start(launch);
    EXPECT_TRUE(eventually([&] { return vmm_log().find("socket:[") != std::string::npos; })) << vmm_log();
    EXPECT_THAT(vmm_log(), HasSubstr("given --fd="));
    EXPECT_TRUE(std::filesystem::is_socket(socket));
}

TEST_F(Helpers, SeeReadOnlyWhatIsGivenToThemSo) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root makes mount namespaces without another user namespace"; }
    const std::string data = directory_ + "/da ta,x";
    std::filesystem::create_directory(data);
    Launch launch = plain({"/bin/sh", "-c", "sleep 100"});
    launch.children.insert(launch.children.begin(),
                           {.role = "helper",
                            .argv = {"/bin/sh", "-c",
                                     "echo refused > \"$1/from-helper\"; echo else > \"$2/from-helper\"; "
                                     "echo done >&2; sleep 100",
                                     "sh", data, state_},
                            .read_only = {data}});
    start(launch);
    ASSERT_TRUE(eventually([&] { return vmm_log().find("done\n") != std::string::npos; })) << vmm_log();
    EXPECT_THAT(vmm_log(), HasSubstr("Read-only file system"));
    EXPECT_FALSE(std::filesystem::exists(data + "/from-helper"));
    EXPECT_TRUE(std::filesystem::exists(state_ + "/from-helper"));
    std::ofstream(data + "/from-us") << "written"; // nobody else's view has changed
    EXPECT_TRUE(std::filesystem::exists(data + "/from-us"));
}

TEST_F(Helpers, SeeTheRootReadOnlyWithAllThatIsMountedInIt) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root makes mount namespaces without another user namespace"; }
    Launch launch = plain({"/bin/sh", "-c", "sleep 100"});
    launch.children.insert(
        launch.children.begin(),
        {.role = "helper",
         .argv = {"/bin/sh", "-c",
                  "for d in /tmp /dev/shm /; do touch $d/microvmc-test || echo kept $d >&2; done; sleep 100"},
         .read_only = {"/"}});
    start(launch);
    for (const char* kept : {"kept /tmp\n", "kept /dev/shm\n", "kept /\n"}) {
        EXPECT_TRUE(eventually([&] { return vmm_log().find(kept) != std::string::npos; })) << vmm_log();
    }
}

TEST_F(Helpers, AreNotStartedWhenThatCantBeMadeReadOnly) {
    Launch launch = plain({"/bin/sleep", "100"});
    launch.children.insert(launch.children.begin(),
                           {.role = "helper", .argv = {"/bin/sleep", "100"}, .read_only = {directory_ + "/nothing"}});
    try {
        start(launch);
        ADD_FAILURE() << "it started";
    } catch (const std::exception& error) {
        EXPECT_THAT(error.what(), HasSubstr("can't make " + directory_ + "/nothing read-only"));
    }
}

} // namespace microvmc::test
