#include "runtime/error.h"
#include "runtime/guest/wire.h"
#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fcntl.h>
#include <future>
#include <pthread.h>
#include <random>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <thread>

// Commands in the guest: what is relayed, how it is bounded, who may hold up whom.

namespace microvmc::test {

using ::testing::HasSubstr;

class Exec : public MachineTest {
protected:
    struct Result {
        int status = 0;
        std::string out;
        std::string err;
    };
    struct Pipe {
        Pipe() {
            std::array<int, 2> fds{};
            if (::pipe2(fds.data(), O_CLOEXEC) != 0) { std::abort(); }
            reader.reset(fds[0]);
            writer.reset(fds[1]);
        }
        Fd reader;
        Fd writer;
    };

    Result run(const ExecRequest& request, const std::string& input = {}) const {
        Pipe in;
        Pipe out;
        Pipe err;
        std::thread feeder([&] {
            std::string_view rest = input;
            while (!rest.empty()) {
                const ssize_t count = ::write(in.writer.get(), rest.data(), rest.size());
                if (count <= 0) { break; }
                rest.remove_prefix(static_cast<std::size_t>(count));
            }
            in.writer.reset();
        });
        Result result;
        std::string refused;
        std::thread out_reader([&] { result.out = read_until(out.reader.get(), "", 60s); });
        std::thread err_reader([&] { result.err = read_until(err.reader.get(), "", 60s); });
        try {
            result.status = exec_in_machine(run_, request, {in.reader.get(), out.writer.get(), err.writer.get()});
        } catch (const Error& error) {
            result.status = -1;
            refused = error.what();
        }
        out.writer.reset();
        err.writer.reset();
        in.reader.reset();
        feeder.join();
        out_reader.join();
        err_reader.join();
        result.err.append(refused);
        return result;
    }
};

TEST_F(Exec, GivesTheStatus) {
    start_up(fake({"serve"}));
    EXPECT_EQ(run({{"status", "0"}, {}, {}, false}).status, 0);
    EXPECT_EQ(run({{"status", "77"}, {}, {}, false}).status, 77);
    EXPECT_EQ(run({{"status", "rubbish"}, {}, {}, false}).status, 255);
}

TEST_F(Exec, PassesEverything) {
    start_up(fake({"serve"}));
    const Result result = run({{"show", "a b", "", "\"$x\""}, {{"A", "1=2"}, {"B", ""}}, "/tmp", false});
    EXPECT_EQ(result.out, "workdir=/tmp A=1=2 B= [show] [a b] [] [\"$x\"]");
    EXPECT_EQ(result.err, "an error");
}

TEST_F(Exec, AwaitsAChannelThatWasCut) {
    start_up(fake({"hello", "a", "sleep", "200", "hangup", "sleep", "700", "accept", "hello", "a", "serve"}));
    ASSERT_TRUE(eventually([this] { return !machine_status(run_)->agent; }));
    EXPECT_EQ(run({{"status", "4"}, {}, {}, false}).status, 4);
}

TEST_F(Exec, RelaysAMegabyteBothWaysUnchanged) {
    start_up(fake({"serve"}));
    std::mt19937 random(1); // NOLINT(cert-msc51-cpp): the same each time
    std::string bytes(std::size_t{1} << 20U, '\0');
    for (char& c : bytes) { c = static_cast<char>(random()); }
    const Result result = run({{"cat"}, {}, {}, false}, bytes);
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.out.size(), bytes.size());
    EXPECT_TRUE(result.out == bytes);
}

TEST_F(Exec, SeveralAtOnceAreKeptApart) {
    start_up(fake({"serve"}));
    std::vector<std::future<Result>> results;
    for (int i = 0; i < 4; ++i) {
        results.push_back(std::async(std::launch::async, [this, i] {
            return run({{"cat"}, {}, {}, false}, std::string(100'000, static_cast<char>('a' + i)));
        }));
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
        const Result result = results[i].get();
        EXPECT_EQ(result.status, 0);
        EXPECT_TRUE(result.out == std::string(100'000, static_cast<char>('a' + i)));
    }
}

TEST_F(Exec, InputThatTheCommandDoesntReadIsHeldBack) {
    start_up(fake({"serve"}));
    const Fd client = connect("{\"op\":\"exec\",\"argv\":[\"never\"]}\n");
    ASSERT_EQ(read_until(client.get(), "\n"), "{\"ok\":true}\n");
    const std::string frame = wire::encode(wire::Type::input, 1, std::string(60'000, 'i'));
    std::size_t taken = 0;
    EXPECT_FALSE(eventually(
        [&] {
            const ssize_t count = ::send(client.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            taken += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
            return taken > 8U * 1024 * 1024;
        },
        1s));
    EXPECT_EQ(run({{"status", "4"}, {}, {}, false}).status, 4); // others aren't held up
}

// Which guest there is: one that keeps to the window, one that doesn't though it says so, one that knows of none.
using Guest = std::vector<std::string>;
const Guest keeps_to_it{"serve"};
const Guest exceeds_it{"greedy", "serve"};
const Guest knows_none{"version", "1", "serve"};

TEST_F(Exec, AClientThatDoesntReadLosesNothingAndHoldsUpNoStatus) {
    for (const Guest& guest : {keeps_to_it, exceeds_it, knows_none}) {
        const Started started = start_up(fake(guest));
        const long before = peak_memory(started.supervisor);
        const Fd client = connect("{\"op\":\"exec\",\"argv\":[\"flood\",\"5000000\"]}\n");
        std::this_thread::sleep_for(300ms);
        EXPECT_TRUE(machine_status(run_));
        EXPECT_LT(peak_memory(started.supervisor) - before, bounded_growth);
        const std::string all = read_until(client.get(), "", 20s);
        EXPECT_EQ(std::ranges::count(all, 'x'), 5'000'000);
        stop_machine(run_, 0s, StopKind::kill);
    }
}

TEST_F(Exec, ClientsThatDontReadHoldUpNoOther) {
    const Started started = start_up(fake(keeps_to_it));
    const long before = peak_memory(started.supervisor);
    std::vector<Fd> clients;
    for (int i = 0; i < 5; ++i) {
        clients.push_back(connect("{\"op\":\"exec\",\"argv\":[\"flood\",\"3000000\"]}\n"));
        ASSERT_EQ(read_until(clients.back().get(), "\n").substr(0, 12), "{\"ok\":true}\n");
    }
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(run({{"status", "4"}, {}, {}, false}).status, 4);
    const std::string text(500'000, 'c'); // more than a window
    EXPECT_TRUE(run({{"cat"}, {}, {}, false}, text).out == text);
    EXPECT_LT(peak_memory(started.supervisor) - before, bounded_growth);
    EXPECT_EQ(run({{"flood", "1000000"}, {}, {}, false}).out.size(), 1'000'000U);
    EXPECT_GT(std::ranges::count(read_until(clients[2].get(), "", 20s), 'x'), 2'900'000);
    clients[3].reset();
    EXPECT_TRUE(eventually([this] { return console_log() == "closed flood\n"; })) << console_log();
    EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
}

TEST_F(Exec, AClientThatDoesntReadDoesntHoldUpAStop) {
    for (const Guest& guest : {keeps_to_it, exceeds_it, knows_none}) {
        start_up(fake(guest));
        const Fd client = connect("{\"op\":\"exec\",\"argv\":[\"flood\",\"5000000\"]}\n");
        std::this_thread::sleep_for(200ms);
        EXPECT_EQ(stop_machine(run_, 5s).kind, StopOutcome::Kind::graceful);
    }
}

TEST_F(Exec, AClientThatGoesIsToldToTheGuest) {
    start_up(fake({"serve"}));
    {
        const Fd client = connect("{\"op\":\"exec\",\"argv\":[\"cat\"]}\n");
        ASSERT_EQ(read_until(client.get(), "\n"), "{\"ok\":true}\n");
    }
    EXPECT_TRUE(eventually([this] { return console_log() == "closed cat\n"; })) << console_log();
}

TEST_F(Exec, SignalsAreTheCommands) {
    start_up(fake({"serve"}));
    Pipe in;
    Pipe out;
    std::promise<pthread_t> thread;
    auto status = std::async(std::launch::async, [&] {
        thread.set_value(::pthread_self());
        return exec_in_machine(run_, {{"signals"}, {}, {}, false},
                               {in.reader.get(), out.writer.get(), out.writer.get()});
    });
    const pthread_t id = thread.get_future().get();
    std::this_thread::sleep_for(200ms); // until it has its handlers: before, the signal would end this program
    ::pthread_kill(id, SIGINT);
    ASSERT_EQ(status.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(status.get(), 130);
    EXPECT_EQ(read_until(out.reader.get(), "signal 2"), "signal 2");
}

TEST_F(Exec, TheThirdSignalEndsAClientWhoseGuestHangs) {
    start_up(fake({"hello", "a", "hang"}));
    Pipe in;
    std::promise<pthread_t> thread;
    auto status = std::async(std::launch::async, [&] {
        thread.set_value(::pthread_self());
        return exec_in_machine(run_, {{"x"}, {}, {}, false}, {in.reader.get(), 1, 2});
    });
    const pthread_t id = thread.get_future().get();
    std::this_thread::sleep_for(200ms);
    for (int i = 0; i < 3; ++i) {
        ::pthread_kill(id, SIGINT);
        std::this_thread::sleep_for(20ms);
    }
    ASSERT_EQ(status.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(status.get(), 130);
}

TEST_F(Exec, ATerminalHasItsSizeAndItsChanges) {
    start_up(fake({"serve"}));
    const Fd screen(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ::grantpt(screen.get());
    ::unlockpt(screen.get());
    const Fd terminal(::open(::ptsname(screen.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    winsize size{30, 100, 0, 0};
    ::ioctl(terminal.get(), TIOCSWINSZ, &size);
    std::promise<pthread_t> thread;
    auto status = std::async(std::launch::async, [&] {
        thread.set_value(::pthread_self());
        return exec_in_machine(run_, {{"size"}, {}, {}, true}, {terminal.get(), terminal.get(), terminal.get()});
    });
    const pthread_t id = thread.get_future().get();
    EXPECT_THAT(read_until(screen.get(), "30x100\n30x100\n"), HasSubstr("30x100\n"));
    size.ws_row = 40;
    ::ioctl(terminal.get(), TIOCSWINSZ, &size);
    ::pthread_kill(id, SIGWINCH);
    EXPECT_THAT(read_until(screen.get(), "40x100\n"), HasSubstr("40x100\n"));
    ::pthread_kill(id, SIGTERM);
    ASSERT_EQ(status.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(status.get(), 143);
    termios settings{};
    ::tcgetattr(terminal.get(), &settings);
    EXPECT_NE(settings.c_lflag & ICANON, 0U);
}

TEST_F(Exec, TheMachinesEndIsAnError) {
    start_up(fake({"serve"}));
    auto result = std::async(std::launch::async, [this] { return run({{"flood", "0"}, {}, {}, false}); });
    EXPECT_EQ(result.get().status, 0);
    Pipe in;
    Pipe out;
    auto waiting = std::async(std::launch::async, [&]() -> std::string {
        try {
            exec_in_machine(run_, {{"cat"}, {}, {}, false}, {in.reader.get(), out.writer.get(), out.writer.get()});
        } catch (const Error& error) { return error.what(); }
        return "no error";
    });
    std::this_thread::sleep_for(100ms);
    stop_machine(run_, 0s, StopKind::kill);
    ASSERT_EQ(waiting.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(waiting.get(), "the machine ended before the command did");
}

TEST_F(Exec, RunCapturesAMegabyteBothWaysUnchanged) {
    start_up(fake({"serve"}));
    std::mt19937 random(2); // NOLINT(cert-msc51-cpp): the same each time
    CaptureOptions options;
    options.input.resize(std::size_t{1} << 20U);
    for (char& c : options.input) { c = static_cast<char>(random()); }
    const Ran ran = run_in_machine(run_, {{"cat"}, {}, {}, false}, options);
    EXPECT_EQ(ran.status, 0);
    EXPECT_TRUE(ran.out == options.input);
    EXPECT_FALSE(ran.truncated);
}

TEST_F(Exec, RunGivesStatusAndBothStreamsAndPassesEverything) {
    start_up(fake({"serve"}));
    EXPECT_EQ(run_in_machine(run_, {{"status", "77"}, {}, {}, false}).status, 77);
    const Ran ran = run_in_machine(run_, {{"show", "a b"}, {{"A", "1=2"}}, "/tmp", true});
    EXPECT_EQ(ran.out, "workdir=/tmp A=1=2 [show] [a b]"); // tty isn't looked at
    EXPECT_EQ(ran.err, "an error");
}

TEST_F(Exec, RunKeepsWhatItsLimitAllows) {
    start_up(fake({"serve"}));
    CaptureOptions options;
    options.output_limit = 100'000;
    const Ran ran = run_in_machine(run_, {{"flood", "3000000"}, {}, {}, false}, options);
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.out.size(), 100'000U);
    EXPECT_TRUE(ran.truncated);
    options.output_limit = 3'000'000;
    EXPECT_FALSE(run_in_machine(run_, {{"flood", "3000000"}, {}, {}, false}, options).truncated);
}

TEST_F(Exec, RunHangsUpWhatTakesTooLong) {
    start_up(fake({"serve"}));
    CaptureOptions options;
    options.timeout = 200ms;
    options.input = std::string(1'000'000, 'i'); // more than the guest takes
    const Ran ran = run_in_machine(run_, {{"never"}, {}, {}, false}, options);
    EXPECT_TRUE(ran.timed_out);
    EXPECT_TRUE(eventually([this] { return console_log() == "closed never\n"; })) << console_log();
    EXPECT_EQ(run({{"status", "4"}, {}, {}, false}).status, 4);
}

TEST_F(Exec, RunSaysThatTheMachineEnded) {
    start_up(fake({"serve"}));
    auto waiting = std::async(std::launch::async, [&]() -> std::string {
        try {
            run_in_machine(run_, {{"never"}, {}, {}, false});
        } catch (const Error& error) { return error.what(); }
        return "no error";
    });
    std::this_thread::sleep_for(100ms);
    stop_machine(run_, 0s, StopKind::kill);
    ASSERT_EQ(waiting.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(waiting.get(), "the machine ended before the command did");
    EXPECT_THROW(run_in_machine(run_, {{"status", "0"}, {}, {}, false}), Error);
}

TEST_F(Exec, WhatCantBeIsRefused) {
    start(plain({"/bin/cat"}));
    EXPECT_THAT(run({{"x"}, {}, {}, false}).err, HasSubstr("agent isn't up"));
    stop_machine(run_, 0s, StopKind::kill);
    start_up(fake({"serve"}));
    EXPECT_EQ(run({{}, {}, {}, false}).err, "no command");
    EXPECT_THAT(run({{std::string(70'000, 'x')}, {}, {}, false}).err, HasSubstr("longer than 65536 bytes"));
    EXPECT_THAT(run({{"x"}, {{"A=B", "c"}}, {}, false}).err, HasSubstr("can't be the name"));
    EXPECT_THAT(run({{std::string("a\0b", 3)}, {}, {}, false}).err, HasSubstr("NUL"));
}

} // namespace microvmc::test
