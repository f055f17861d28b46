#include "runtime/error.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

// What a child is told on its socket once it listens.

namespace microvmc::test {

using ::testing::HasSubstr;

namespace {

class Chatty : public MachineTest {
protected:
    // The child's own socket is where the fake guest's agent is, too: first comes the chat.
    Launch chatty(std::vector<std::string> steps) const {
        Launch launch = fake(std::move(steps));
        Child& vmm = launch.children.back();
        vmm.await_socket = launch.agent.socket;
        vmm.chat = {{"greeting", "first\n"}, {"ok", "second\n"}, {"ok", ""}};
        return launch;
    }
    std::string failure_of(const Launch& launch) {
        try {
            start(launch);
        } catch (const Error& error) { return error.what(); }
        return "it started";
    }
};

} // namespace

TEST_F(Chatty, EachAnswerIsAwaitedAndWhatElseComesIsSkipped) {
    start_up(chatty({"say", "a greeting", "hear", "say", "an event", "say", "ok", "hear", "say", "another\nok",
                     "accept", "hello", "b", "serve"}));
    EXPECT_EQ(console_log(), "heard first\nheard second\n");
}

TEST_F(Chatty, ARebootedChildIsToldAgain) {
    const std::string once = directory_ + "/once";
    start(chatty({"say", "a greeting", "hear", "say", "ok",     "hear", "say",  "ok", "accept", "hello",
                  "b",   "first",      once,   "end", "reboot", "0",    "exit", "0",  "then",   "serve"}));
    EXPECT_TRUE(eventually([this] { return machine_status(run_) && machine_status(run_)->reboots == 1; }));
    EXPECT_TRUE(eventually([this] {
        return console_log() == "heard first\nheard second\nheard first\nheard second\n";
    })) << console_log();
}

TEST_F(Chatty, OneThatDiesSaysWhy) {
    EXPECT_THAT(failure_of(chatty({"say", "a greeting", "hear", "complain", "no such machine\n", "exit", "1"})),
                HasSubstr("vmm exited with status 1: no such machine"));
}

TEST_F(Chatty, OneThatDoesNotAnswerIsGivenUp) {
    EXPECT_THAT(failure_of(chatty({"say", "a greeting", "hear", "say", "error: no", "hang"})),
                HasSubstr("said nothing more when it was told what it starts with, after: error: no"));
}

TEST_F(Chatty, OneThatNeverEndsItsLineIsGivenUp) {
    EXPECT_THAT(failure_of(chatty({"send", "200000", "hang"})), HasSubstr("vmm said too much"));
}

} // namespace microvmc::test
