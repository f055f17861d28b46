#include "runtime/error.h"
#include "runtime/supervisor/handover.h"
#include "runtime/supervisor/program.h"
#include "runtime/supervisor/protocol.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/socket.h>
#include <thread>

// Another program takes the supervisor's place in its process, and the machine doesn't notice.

namespace microvmc::test {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Kind = UpgradeOutcome::Kind;

class Upgrade : public MachineTest {
protected:
    /// The supervisor as another version would be installed.
    std::string another() {
        std::string path = directory_ + "/supervisor-" + std::to_string(++copies_);
        fs::copy_file(supervisor_, path);
        return path;
    }
    std::string script(const std::string& text) {
        std::string path = directory_ + "/script-" + std::to_string(++copies_);
        std::ofstream(path) << text;
        fs::permissions(path, fs::perms::owner_all);
        return path;
    }
    std::string exec(const std::string& words) const {
        const Fd client = connect("{\"op\":\"exec\",\"argv\":[" + words + "]}\n");
        return read_until(client.get(), "", 5s);
    }
    std::string refusal(const std::string& program) const {
        try {
            upgrade_supervisor(run_, program);
        } catch (const Error& error) { return error.what(); }
        return "no error";
    }
    std::string program_of(pid_t pid) const {
        return fs::read_symlink("/proc/" + std::to_string(pid) + "/exe").string();
    }
    /// All that a machine does still works.
    void expect_works(const Started& started, const std::string& printed) {
        const auto status = machine_status(run_);
        ASSERT_TRUE(status);
        EXPECT_EQ(status->supervisor, started.supervisor);
        EXPECT_EQ(status->vmm, started.vmm);
        EXPECT_EQ(status->state, MachineState::ready);
        EXPECT_TRUE(status->agent);
        EXPECT_TRUE(is_locked(run_));
        EXPECT_THROW(start_supervisor(supervisor_, plain({"/bin/cat"})), TimeoutError);
        EXPECT_THAT(exec("\"show\",\"me\""), HasSubstr("[show] [me]"));
        const Fd console = connect("{\"op\":\"console\",\"history\":true}\n");
        EXPECT_THAT(read_until(console.get(), printed), HasSubstr(printed));
    }

private:
    int copies_ = 0;
};

TEST_F(Upgrade, TheMachineGoesOnUnderAnotherProgram) {
    const Started started = start_up(fake({"print", "before \xc3\xa9\n", "serve"}));
    EXPECT_EQ(upgrade_supervisor(run_, supervisor_).kind, Kind::current);
    ASSERT_TRUE(eventually([this] { return console_log() == "before \xc3\xa9\n"; }));
    EXPECT_THAT(exec("\"status\",\"0\""), HasSubstr("ok"));
    for (int i = 0; i < 3; ++i) {
        const std::string program = another();
        EXPECT_EQ(upgrade_supervisor(run_, program).kind, Kind::upgraded) << vmm_log();
        EXPECT_EQ(program_of(started.supervisor), program);
        EXPECT_EQ(read_text("/proc/" + std::to_string(started.supervisor) + "/comm"),
                  ("vm:" + plain({}).vm).substr(0, 15) + "\n");
        expect_works(started, "before \xc3\xa9\n");
        EXPECT_EQ(upgrade_supervisor(run_, program).kind, Kind::current);
    }
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Upgrade, WhatTheConsoleAndTheVmmSayLaterIsStillTaken) {
    const std::string file = directory_ + "/go";
    Launch launch = plain({"/bin/sh", "-c",
                           "echo half | tr -d '\\n'; while ! [ -e " + file +
                               " ]; do sleep 0.01; done; echo ' ready'; "
                               "read line; echo \"typed $line\"; echo last words >&2; exit 3"});
    launch.ready_kind = "console";
    launch.ready_text = "half ready";
    const Started started = start(launch);
    ASSERT_TRUE(eventually([this] { return console_log() == "half"; }));
    ASSERT_EQ(upgrade_supervisor(run_, another()).kind, Kind::upgraded);
    std::ofstream(file) << "x";
    EXPECT_EQ(await_machine(run_, Goal::ready, 5s).kind, AwaitOutcome::Kind::reached);
    const Fd console = connect("{\"op\":\"console\",\"history\":false}\nabc\n");
    EXPECT_THAT(read_until(console.get(), "typed abc"), HasSubstr("typed abc"));
    const End end = ended();
    EXPECT_EQ(end.kind, End::Kind::vmm_crash);
    EXPECT_EQ(end.status, 3);
    EXPECT_THAT(end.detail, HasSubstr("last words"));
    EXPECT_FALSE(runs(started.vmm));
}

TEST_F(Upgrade, TheChildrenDieWithTheNewProgram) {
    const Started started = start_up(fake({"serve"}));
    ASSERT_EQ(upgrade_supervisor(run_, another()).kind, Kind::upgraded);
    ::kill(started.supervisor, SIGKILL);
    EXPECT_TRUE(eventually([&] { return !runs(started.vmm); }));
    EXPECT_TRUE(eventually([this] { return !is_locked(run_); }));
}

TEST_F(Upgrade, ASignalThatComesMeanwhileIsNotLost) {
    const std::string program = another();
    for (int delay = 0; delay < 8; ++delay) { // it all takes some milliseconds
        const Started started = start_up(fake({"serve"}));
        std::thread upgrader([&] {
            try {
                upgrade_supervisor(run_, program);
            } catch (const Error&) {} // it ended first
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(delay));
        ::kill(started.supervisor, SIGTERM);
        upgrader.join();
        EXPECT_EQ(ended().kind, End::Kind::poweroff) << delay;
    }
}

TEST_F(Upgrade, ASignalThatWaitsBesideTheRequestIsNotLost) {
    const Started started = start_up(fake({"serve"}));
    const Fd client = connect("{");
    std::this_thread::sleep_for(50ms); // it is being listened to
    ::kill(started.supervisor, SIGSTOP);
    const std::string rest = R"("op":"reexec","program":")" + another() + "\"}\n";
    ASSERT_EQ(::send(client.get(), rest.data(), rest.size(), MSG_NOSIGNAL), static_cast<ssize_t>(rest.size()));
    ::kill(started.supervisor, SIGTERM);
    ::kill(started.supervisor, SIGCONT);
    EXPECT_EQ(ended().kind, End::Kind::poweroff);
}

TEST_F(Upgrade, AProgramThatCantTakeOverLeavesTheOldOneWorking) {
    const Started started = start_up(fake({"print", "before", "serve"}));
    const std::string before = program_of(started.supervisor);
    const std::string garbage = script("this is no program");
    EXPECT_THAT(refusal(garbage), HasSubstr("Exec format error"));
    EXPECT_THAT(refusal("/bin/true"), HasSubstr("exited with status 0"));
    EXPECT_THAT(refusal("/bin/false"), HasSubstr("exited with status 1"));
    // Not /bin/sh, which executes no descriptor that is closed on exec; a real program that says why, and one that
    // hangs.
    EXPECT_THAT(refusal("/bin/cat"), HasSubstr("unrecognized option"));
    EXPECT_THAT(refusal(TEST_BINARY_DIR "/tests/fake_vmm"), HasSubstr("no step --resume"));
    fs::permissions(garbage, fs::perms::owner_read);
    EXPECT_THAT(refusal(garbage), HasSubstr("ermission"));
    EXPECT_THAT(refusal(directory_), HasSubstr("can't take over"));
    EXPECT_EQ(program_of(started.supervisor), before);
    EXPECT_THAT(vmm_log(), HasSubstr("/bin/false can't take over: it was tried and exited with status 1"));
    expect_works(started, "before");
    EXPECT_EQ(upgrade_supervisor(run_, another()).kind, Kind::upgraded);
    expect_works(started, "before");
}

TEST_F(Upgrade, AnotherVersionOfTheHandoverIsRefused) {
    const Launch launch = plain({"/bin/cat"});
    supervisor::Handover handover;
    handover.launch = launch;
    handover.children.push_back({1, true, 0, -1, {std::string("\0\xff", 2)}});
    for (int* descriptor :
         {&handover.lock, &handover.control, &handover.client, &handover.console.master, &handover.console.slave}) {
        *descriptor = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    const auto why = [](const supervisor::Handover& given) -> std::string {
        try {
            const Fd fd = supervisor::write_handover(given);
            EXPECT_EQ(supervisor::read_handover(fd.get()), given);
        } catch (const Error& error) { return error.what(); }
        return "none";
    };
    EXPECT_EQ(why(handover), "none");
    supervisor::Handover other = handover;
    other.version = 99;
    EXPECT_THAT(why(other), HasSubstr("version 99"));
    other = handover;
    other.lock = 987;
    EXPECT_THAT(why(other), HasSubstr("descriptor 987 isn't open"));
    other = handover;
    other.children.clear();
    EXPECT_THAT(why(other), HasSubstr("other children"));
    for (const int descriptor : supervisor::descriptors_of(handover)) { ::close(descriptor); }
}

TEST_F(Upgrade, WaitsUntilNobodyIsAttached) {
    start_up(fake({"serve"}));
    const std::string program = another();
    const auto outcome = [&] {
        const UpgradeOutcome upgrade = upgrade_supervisor(run_, program);
        EXPECT_EQ(upgrade.kind, Kind::later);
        return upgrade.why;
    };
    {
        const Fd console = connect("{\"op\":\"console\"}\n");
        read_until(console.get(), "\n");
        EXPECT_EQ(outcome(), "somebody is attached to the console");
    }
    {
        const Fd command = connect("{\"op\":\"exec\",\"argv\":[\"cat\"]}\n");
        read_until(command.get(), "\n");
        EXPECT_EQ(outcome(), "a command runs in the guest");
    }
    {
        const Fd silent = connect("{");
        EXPECT_EQ(outcome(), "another client is connected to the supervisor");
    }
    EXPECT_EQ(upgrade_supervisor(run_, program).kind, Kind::upgraded);
}

TEST_F(Upgrade, IsOfNoUseForAMachineThatDoesntRun) {
    EXPECT_EQ(upgrade_supervisor(run_, supervisor_).kind, Kind::not_running);
    start_up(fake({"deaf"}));
    const Fd stopping = connect(R"({"op":"stop","timeout_ms":1000,"kind":"poweroff"})"
                                "\n");
    ASSERT_TRUE(eventually([this] { return machine_status(run_)->state == MachineState::stopping; }));
    const UpgradeOutcome upgrade = upgrade_supervisor(run_, another());
    EXPECT_EQ(upgrade.kind, Kind::later);
    EXPECT_EQ(upgrade.why, "the machine is ending");
    EXPECT_EQ(ended().kind, End::Kind::timed_out);
}

} // namespace microvmc::test
