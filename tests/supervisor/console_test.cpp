#include "tests/supervisor/machine_test.h"

#include <gmock/gmock.h>

#include <array>
#include <csignal>
#include <fcntl.h>
#include <future>
#include <pthread.h>
#include <sys/socket.h>
#include <termios.h>
#include <thread>

// The console: the log, several clients, the history, a client that is slow, and a person's terminal.

namespace microvmc::test {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Console : public MachineTest {};

TEST_F(Console, TwoClientsSeeAndType) {
    start(plain({"/bin/cat"}));
    const Fd one = connect("{\"op\":\"console\",\"history\":false}\nfrom one\n"); // typed along with the request
    const Fd two = connect("{\"op\":\"console\",\"history\":true}\n");
    EXPECT_EQ(read_until(one.get(), "from one\n"), "{\"ok\":true}\nfrom one\n"); // raw: no echo, no \r
    EXPECT_EQ(read_until(two.get(), "from one\n"), "{\"ok\":true}\nfrom one\n");
    ASSERT_EQ(::write(two.get(), "from two\n", 9), 9);
    EXPECT_EQ(read_until(one.get(), "from two\n"), "from two\n");
    EXPECT_EQ(read_until(two.get(), "from two\n"), "from two\n");
    const Fd late = connect("{\"op\":\"console\",\"history\":true}\n");
    EXPECT_EQ(read_until(late.get(), "from two\n"), "{\"ok\":true}\nfrom one\nfrom two\n");
    EXPECT_EQ(console_log(), "from one\nfrom two\n");
}

TEST_F(Console, EveryByteGoesThroughBothWays) {
    start(plain({"/bin/cat"}));
    std::string bytes;
    for (int i = 0; i < 256; ++i) { bytes.push_back(static_cast<char>(i)); }
    const Fd client = connect("{\"op\":\"console\",\"history\":false}\n");
    ASSERT_EQ(read_until(client.get(), "\n"), "{\"ok\":true}\n");
    ASSERT_EQ(::write(client.get(), bytes.data(), bytes.size()), 256);
    ASSERT_TRUE(eventually([&] { return console_log().size() >= bytes.size(); }));
    EXPECT_EQ(console_log(), bytes);
}

TEST_F(Console, APortOfLittleRoomGetsPieces) {
    const auto most = [this](std::uint32_t piece) {
        Launch launch = fake({"print", "go\n", "take", "1000", "hang"});
        launch.console_piece = piece;
        start(launch);
        const Fd client = connect("{\"op\":\"console\",\"history\":true}\n");
        read_until(client.get(), "go\n");
        EXPECT_EQ(::write(client.get(), std::string(1000, 'x').data(), 1000), 1000);
        const std::string said = read_until(client.get(), "at most");
        EXPECT_TRUE(eventually([this] { return console_log().find("at most") != std::string::npos; }));
        const std::string log = console_log();
        stop_machine(run_, 0ms, StopKind::kill);
        return std::stoul(log.substr(log.rfind("at most ") + 8));
    };
    EXPECT_GE(most(0), 500U);
    EXPECT_LE(most(16), 160U) << "the time between them may be short on a busy host";
}

TEST_F(Console, TheHistoryIsTheLastPart) {
    start(plain({"/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo done; cat"}));
    ASSERT_TRUE(eventually([this] { return console_log().ends_with("done\n"); }, 20s));
    const Fd client = connect("{\"op\":\"console\",\"history\":true}\n");
    const std::string seen = read_until(client.get(), "done\n").substr(12);
    EXPECT_EQ(seen.size(), 64U * 1024U);
    EXPECT_EQ(seen, console_log().substr(console_log().size() - seen.size()));
}

TEST_F(Console, ASlowClientHoldsUpNobody) {
    const Started started =
        start(plain({"/bin/sh", "-c", "read go; head -c 8000000 /dev/zero | tr '\\0' x; echo; echo done; cat"}));
    const long before = peak_memory(started.supervisor);
    const Fd slow = connect("{\"op\":\"console\",\"history\":false}\n"); // reads nothing
    const Fd other = connect("{\"op\":\"console\",\"history\":false}\n\n");
    std::string seen;
    std::thread reader([&] { seen = read_until(other.get(), "done\n", 20s); });
    ASSERT_TRUE(eventually([this] { return console_log().ends_with("done\n"); }, 20s));
    reader.join();
    EXPECT_TRUE(machine_status(run_));
    EXPECT_EQ(console_log().size(), 8'000'006U);
    EXPECT_TRUE(seen.ends_with("done\n"));
    EXPECT_LT(peak_memory(started.supervisor) - before, bounded_growth) << "it keeps what the slow client doesn't read";
    // It is told, once it reads again.
    ASSERT_EQ(::write(other.get(), "more\n", 5), 5);
    std::string late = read_until(slow.get(), "left out here; the log has them]", 2s);
    if (late.find("left out") == std::string::npos) { // more output is what makes it known
        ASSERT_EQ(::write(other.get(), "more\n", 5), 5);
        late = read_until(slow.get(), "more\n");
    }
    EXPECT_THAT(late, HasSubstr("bytes left out here; the log has them]\r\n"));
    EXPECT_LT(late.size(), 2'000'000U);
}

TEST_F(Console, InputThatNobodyReadsIsHeldBack) {
    const Started started = start(plain({"/bin/sleep", "1000"}));
    const Fd client = connect("{\"op\":\"console\"}\n");
    ASSERT_EQ(read_until(client.get(), "\n"), "{\"ok\":true}\n");
    std::string bytes(65536, 'z');
    std::size_t taken = 0;
    EXPECT_FALSE(eventually(
        [&] {
            const ssize_t count = ::send(client.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            taken += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
            return taken > 8U * 1024 * 1024;
        },
        1s))
        << "it takes without end";
    EXPECT_TRUE(machine_status(run_));
    EXPECT_EQ(machine_status(run_)->vmm, started.vmm);
}

TEST_F(Console, AFullLogIsMovedAway) {
    start(plain({"/bin/sh", "-c",
                 "head -c 17000000 /dev/zero | tr '\\0' x; head -c 1000 /dev/zero | tr '\\0' y; echo done; cat"}));
    ASSERT_TRUE(eventually([this] { return console_log().ends_with("done\n"); }, 30s));
    const std::string old = read_text(state_ + "/console.log.1");
    EXPECT_GE(old.size(), 16U << 20U);
    EXPECT_LT(old.size(), (16U << 20U) + 65536U);
    EXPECT_EQ(old.size() + console_log().size(), 17'001'005U);
}

/// A person's terminal: what is typed is written to `fd`, what is shown is read from it.
struct Screen {
    Screen() {
        fd.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
        ::grantpt(fd.get());
        ::unlockpt(fd.get());
        terminal.reset(::open(::ptsname(fd.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    }
    [[nodiscard]] bool raw() const {
        termios settings{};
        ::tcgetattr(terminal.get(), &settings);
        return (settings.c_lflag & ICANON) == 0;
    }
    [[nodiscard]] Streams streams() const { return {terminal.get(), terminal.get(), terminal.get()}; }
    Fd fd;
    Fd terminal;
};

TEST_F(Console, ATerminalIsAttachedUntilTheKey) {
    start(plain({"/bin/cat"}));
    const Screen screen;
    EXPECT_FALSE(screen.raw());
    auto end = std::async(std::launch::async, [&] { return attach_console(run_, true, '\x1d', screen.streams()); });
    ASSERT_TRUE(eventually([&] { return screen.raw(); }));
    ASSERT_EQ(::write(screen.fd.get(), "hello\x03", 6), 6); // Ctrl-C is the guest's
    EXPECT_EQ(read_until(screen.fd.get(), "hello\x03"), "hello\x03");
    ASSERT_EQ(::write(screen.fd.get(), "\x1d", 1), 1);
    ASSERT_EQ(end.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(end.get(), ConsoleEnd::detached);
    EXPECT_FALSE(screen.raw());
    EXPECT_TRUE(machine_status(run_)); // it runs on
}

TEST_F(Console, ATerminalIsRestoredAfterASignal) {
    start(plain({"/bin/cat"}));
    const Screen screen;
    std::promise<pthread_t> thread;
    auto end = std::async(std::launch::async, [&] {
        thread.set_value(::pthread_self());
        return attach_console(run_, true, '\x1d', screen.streams());
    });
    const pthread_t id = thread.get_future().get();
    ASSERT_TRUE(eventually([&] { return screen.raw(); }));
    ::pthread_kill(id, SIGTERM);
    ASSERT_EQ(end.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(end.get(), ConsoleEnd::detached);
    EXPECT_FALSE(screen.raw());
}

TEST_F(Console, TheMachinesEndIsTheEnd) {
    start(plain({"/bin/sh", "-c", "read line; echo last words"}));
    const Screen screen;
    auto end = std::async(std::launch::async, [&] { return attach_console(run_, true, '\x1d', screen.streams()); });
    ASSERT_TRUE(eventually([&] { return screen.raw(); }));
    ASSERT_EQ(::write(screen.fd.get(), "x\n", 2), 2);
    ASSERT_EQ(end.wait_for(5s), std::future_status::ready);
    EXPECT_EQ(end.get(), ConsoleEnd::machine_ended);
    EXPECT_FALSE(screen.raw());
    EXPECT_THAT(read_until(screen.fd.get(), "last words"), HasSubstr("last words"));
}

} // namespace microvmc::test
