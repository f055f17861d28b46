#include "runtime/process.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>

namespace microvmc {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

RunOptions within(milliseconds timeout) {
    RunOptions options;
    options.timeout = timeout;
    return options;
}

TEST(Process, TellsStatusAndOutput) {
    const Ran ran = run_program({"sh", "-c", "echo out; echo err >&2; exit 7"});
    EXPECT_EQ(ran.status, 7);
    EXPECT_EQ(ran.out, "out\n");
    EXPECT_EQ(ran.err, "err\n");
    EXPECT_EQ(last_words(ran), "err");
    EXPECT_EQ(run_program({"sh", "-c", "kill -TERM $$"}).status, 128 + SIGTERM);
}

TEST(Process, FeedsStandardInput) {
    RunOptions options;
    options.input = std::string(300'000, 'x');
    EXPECT_EQ(run_program({"wc", "-c"}, options).out, "300000\n");
    EXPECT_EQ(run_program({"true"}, options).status, 0); // one that doesn't read it
    EXPECT_EQ(run_program({"wc", "-c"}).out, "0\n");
}

TEST(Process, IsAwaitedWhileSomethingIsDone) {
    const TemporaryDirectory directory;
    RunOptions options = within(milliseconds(20'000));
    options.meanwhile = [&directory] { write_whole(directory / "go", "", 0600); };
    const Ran ran = run_program(
        {"sh", "-c", "until test -e \"$1\"; do sleep 0.05; done; echo went", "sh", directory / "go"}, options);
    EXPECT_EQ(ran.out, "went\n");
    EXPECT_FALSE(ran.timed_out);
}

TEST(Process, HasItsOwnVariablesAboveOurs) {
    ::setenv("OURS", "1", 1);
    ::setenv("BOTH", "ours", 1);
    RunOptions options;
    options.env = {{"BOTH", "its own = one"}, {"ITS", ""}};
    EXPECT_EQ(run_program({"sh", "-c", "echo \"$OURS|$BOTH|$ITS|${ITS-none}\""}, options).out, "1|its own = one||\n");
    EXPECT_STREQ(std::getenv("BOTH"), "ours");
}

TEST(Process, SaysWhyItCannotRun) {
    try {
        run_program({"/nonexistent/program"});
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "can't run /nonexistent/program: No such file or directory");
    }
    EXPECT_THROW(run_program({"/etc/passwd"}), Error);
    EXPECT_THROW(run_program({}), Error);
    RunOptions options;
    options.cwd = "/nonexistent";
    EXPECT_THROW(run_program({"true"}, options), Error);
}

TEST(Process, KillsTheWholeGroupWhenTimeIsUp) {
    const TemporaryDirectory directory;
    RunOptions options = within(milliseconds(200));
    options.cwd = directory.path();
    const auto start = std::chrono::steady_clock::now();
    const Ran ran = run_program({"sh", "-c", "(sleep 0.6; touch survived) & sleep 60"}, options);
    EXPECT_TRUE(ran.timed_out);
    EXPECT_EQ(ran.status, 128 + SIGKILL);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    std::this_thread::sleep_for(milliseconds(700));
    EXPECT_TRUE(directory.names().empty());
}

TEST(Process, DoesNotWaitForWhatIsLeftBehind) {
    const auto start = std::chrono::steady_clock::now();
    const Ran ran = run_program({"sh", "-c", "sleep 3 & echo done"});
    EXPECT_EQ(ran.out, "done\n");
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Process, KeepsSoMuchOutputAndNoMore) {
    RunOptions options;
    options.output_limit = 1000;
    const Ran ran = run_program({"head", "-c", "5000000", "/dev/zero"}, options);
    EXPECT_EQ(ran.out.size(), 1000U);
    EXPECT_TRUE(ran.truncated);
    EXPECT_EQ(ran.status, 0);
}

TEST(Process, InheritsWhatItIsToldAlone) {
    const Fd given(::memfd_create("given", MFD_CLOEXEC));
    const Fd leaky(::memfd_create("leaky", 0));
    RunOptions options;
    options.inherit = {given.get()};
    const Ran ran = run_program({"sh", "-c",
                                 "test -e /proc/self/fd/" + std::to_string(given.get()) +
                                     " && ! test -e /proc/self/fd/" + std::to_string(leaky.get())},
                                options);
    EXPECT_EQ(ran.status, 0);
}

TEST(Process, ChildStartsWithDefaultSignals) {
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
    auto* const ignored = ::signal(SIGINT, SIG_IGN);
    const std::string status = run_program({"cat", "/proc/self/status"}).out;
    ::signal(SIGINT, ignored);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    EXPECT_THAT(status, HasSubstr("SigBlk:\t0000000000000000"));
    EXPECT_THAT(status, HasSubstr("SigIgn:\t0000000000000000"));
}

TEST(Process, DiesWithUs) {
    const TemporaryDirectory directory;
    const pid_t us = ::fork();
    if (us == 0) {
        RunOptions options;
        options.cwd = directory.path();
        run_program({"sh", "-c", "echo $$ > pid.new; mv pid.new pid; exec sleep 60"}, options);
        ::_exit(0);
    }
    const std::string file = directory / "pid";
    for (int i = 0; i < 500 && ::access(file.c_str(), F_OK) != 0; ++i) {
        std::this_thread::sleep_for(milliseconds(10));
    }
    const pid_t program = std::stoi(read_file(file).value());
    ASSERT_EQ(::kill(program, 0), 0);
    ::kill(us, SIGKILL);
    ::waitpid(us, nullptr, 0);
    // Whoever inherits it may take a moment to reap it: a zombie is dead.
    std::string state;
    for (int i = 0; i < 300; ++i) {
        state = read_file("/proc/" + std::to_string(program) + "/stat").value_or(") X");
        state = state.substr(state.rfind(')') + 2, 1);
        if (state == "X" || state == "Z") { return; }
        std::this_thread::sleep_for(milliseconds(10));
    }
    FAIL() << "still in state " << state;
}

} // namespace
} // namespace microvmc
