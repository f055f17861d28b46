#include "runtime/error.h"
#include "runtime/supervisor/sockets.h"
#include "runtime/user.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

// What the supervisor opens for a child, and as whom it runs one.

namespace microvmc::test {

using ::testing::HasSubstr;

namespace {

class Descriptors : public MachineTest {
protected:
    std::string file(const std::string& name, const std::string& text) const {
        const std::string path = directory_ + "/" + name;
        std::ofstream(path) << text;
        ::chmod(path.c_str(), 0600);
        return path;
    }
    Launch shell(const std::string& script, std::vector<Descriptor> descriptors) const {
        Launch launch = plain({"/bin/bash", "-c", script}); // dash knows no descriptor above 9
        launch.children.back().descriptors = std::move(descriptors);
        return launch;
    }
};

} // namespace

TEST_F(Descriptors, AChildHasThemUnderTheirNumbers) {
    const std::string in = file("in", "read\n");
    const std::string out = file("out", "");
    const std::string server = directory_ + "/server";
    const Fd listener(supervisor::listen_unix(server));
    start(shell("cat <&200; echo written >&201; echo $(readlink /proc/self/fd/202) $(readlink /proc/self/fd/203); "
                "exec sleep 1000",
                {{.kind = Descriptor::Kind::read, .number = 200, .path = in},
                 {.kind = Descriptor::Kind::write, .number = 201, .path = out},
                 {.kind = Descriptor::Kind::listen, .number = 202, .path = run_ + "/own"},
                 {.kind = Descriptor::Kind::connect, .number = 203, .path = server}}));
    EXPECT_TRUE(eventually([this] {
        return console_log().find("socket:", console_log().find("socket:") + 1) != std::string::npos;
    })) << console_log();
    EXPECT_THAT(console_log(), HasSubstr("read"));
    EXPECT_EQ(read_text(out), "written\n");
    EXPECT_GE(Fd(supervisor::connect_unix(run_ + "/own")).get(), 0) << "the child has it, and nobody else: ";
    stop_machine(run_, 0ms, StopKind::kill);
    EXPECT_LT(supervisor::connect_unix(run_ + "/own"), 0);
}

TEST_F(Descriptors, WhatCannotBeOpenedIsNamed) {
    const auto failure = [this](Descriptor::Kind kind, const std::string& path) -> std::string {
        try {
            start(shell("true", {{.kind = kind, .number = 200, .path = path}}));
        } catch (const Error& error) { return error.what(); }
        return "it started";
    };
    EXPECT_THAT(failure(Descriptor::Kind::read, "/no/such"), HasSubstr("can't open /no/such: No such file"));
    EXPECT_THAT(failure(Descriptor::Kind::connect, directory_ + "/none"), HasSubstr("can't connect to " + directory_));
    EXPECT_THAT(failure(Descriptor::Kind::macvtap, "no-such-link"), HasSubstr("there is no macvtap no-such-link"));
    EXPECT_THAT(failure(Descriptor::Kind::macvtap, "lo"), HasSubstr("the device of lo"));
}

TEST_F(Descriptors, AnotherUserHasNothingElseOfOurs) {
    if (::geteuid() != 0) { GTEST_SKIP() << "only root runs a child as another user"; }
    const std::string secret = file("secret", "handed over\n");
    Launch launch = shell("echo uid $(id -u) gid $(id -g) $(cat <&200) groups $(id -G); cat " + secret +
                              " || echo refused; exec sleep 1000",
                          {{.kind = Descriptor::Kind::read, .number = 200, .path = secret}});
    launch.children.back().user = "nobody";
    const Started started = start(launch);
    EXPECT_TRUE(eventually([this] { return console_log().find("refused") != std::string::npos; })) << console_log();
    const User nobody = *find_account("nobody");
    EXPECT_THAT(console_log(), HasSubstr("uid " + std::to_string(nobody.uid) + " gid " + std::to_string(nobody.gid) +
                                         " handed over groups " + std::to_string(nobody.gid)));
    struct stat kvm {};
    if (::stat("/dev/kvm", &kvm) == 0) { EXPECT_THAT(console_log(), HasSubstr(" " + std::to_string(kvm.st_gid))); }
    // The parent-death signal outlives the change of the user.
    ::kill(started.supervisor, SIGKILL);
    EXPECT_TRUE(eventually([&started] { return !runs(started.vmm); }));
}

TEST_F(Descriptors, AUserThatThereIsNotFailsTheStart) {
    Launch launch = plain({"/bin/true"});
    launch.children.back().user = "no-such-user";
    try {
        start(launch);
        FAIL() << "it started";
    } catch (const Error& error) { EXPECT_THAT(error.what(), HasSubstr("this host has no user no-such-user")); }
}

} // namespace microvmc::test
