#include "runtime/qmp.h"

#include "tests/runtime/real_qemu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace microvmc::test {

namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds patience{10'000};
constexpr const char* greeting =
    R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}})"
    "\r\n";

int listen_on(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 1) != 0) {
        throw std::runtime_error("can't listen on " + path);
    }
    return fd;
}

// Plays a QMP server: sends one part of the script at once, each further one after a line from the client, then hangs
// up, or (`stay`) waits until the client does.
class FakeServer {
public:
    FakeServer(std::vector<std::string> script, bool stay = false)
        : path(directory_.path() + "/qmp.sock"), listener_(listen_on(path)),
          thread_([this, script = std::move(script), stay] { serve(script, stay); }) {}
    ~FakeServer() {
        thread_.join();
        ::close(listener_);
    }
    FakeServer(const FakeServer&) = delete;
    FakeServer& operator=(const FakeServer&) = delete;

private:
    TemporaryDirectory directory_;

public:
    const std::string path;

private:
    static bool read_line(int client) {
        char c = 0;
        while (::read(client, &c, 1) == 1) {
            if (c == '\n') { return true; }
        }
        return false;
    }

    void serve(const std::vector<std::string>& script, bool stay) const {
        const int client = ::accept(listener_, nullptr, nullptr);
        for (std::size_t i = 0; i < script.size(); ++i) {
            if (i > 0 && !read_line(client)) { break; }
            std::string_view rest = script[i];
            while (!rest.empty()) {
                const ssize_t sent = ::send(client, rest.data(), rest.size(), MSG_NOSIGNAL);
                if (sent <= 0) { break; }
                rest.remove_prefix(static_cast<std::size_t>(sent));
            }
        }
        while (stay && read_line(client)) {}
        ::close(client);
    }

    int listener_;
    std::thread thread_;
};

std::string failure_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const Error& error) { return error.what(); }
    return {};
}

const std::string accepted = R"({"return": {}, "id": "1"})"
                             "\r\n";

} // namespace

TEST(Qmp, TalksToARealQemu) {
    if (qemu_program().empty()) { GTEST_SKIP() << "qemu-system-x86_64 is not installed"; }
    const TemporaryDirectory directory;
    const std::string socket = directory.path() + "/qmp.sock";
    Process qemu({qemu_program(), "-machine", "none", "-S", "-nodefaults", "-display", "none", "-qmp",
                  "unix:" + socket + ",server=on,wait=off"},
                 directory.path() + "/log");
    Qmp qmp(socket, patience); // before it listens
    EXPECT_THAT(qmp.version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
    EXPECT_EQ(qmp.execute("query-status", patience).at("running"), false);
    EXPECT_GT(qmp.execute("query-qmp-schema", patience).size(), 100U) << "a long answer, in many parts";
    try {
        qmp.execute("no-such-command", patience);
        FAIL() << "nothing was thrown";
    } catch (const QmpError& error) {
        EXPECT_EQ(error.error_class, "CommandNotFound");
        EXPECT_THAT(error.what(), HasSubstr("no-such-command"));
    }
    qmp.execute("qom-list", {{"path", "/"}}, patience);
    qmp.execute("quit", patience);
    qmp.wait_closed(patience);
    const auto events = qmp.take_events();
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.back().at("event"), "SHUTDOWN");
    EXPECT_EQ(qemu.wait(), 0);
}

// QEMU talks to one client at a time; one whose child had the connection, too, would never be gone.
TEST(Qmp, AChildDoesNotHoldTheConnection) {
    if (qemu_program().empty()) { GTEST_SKIP() << "qemu-system-x86_64 is not installed"; }
    const TemporaryDirectory directory;
    const std::string socket = directory.path() + "/qmp.sock";
    const Process qemu({qemu_program(), "-machine", "none", "-nodefaults", "-display", "none", "-qmp",
                        "unix:" + socket + ",server=on,wait=off"},
                       directory.path() + "/log");
    std::optional<Qmp> first;
    first.emplace(socket, patience);
    const Process child({"sleep", "60"}, directory.path() + "/child");
    first.reset();
    EXPECT_NO_THROW(Qmp(socket, patience));
}

TEST(Qmp, EventsAndAnswersToOthersAreSkipped) {
    const FakeServer server({greeting, accepted,
                             "{\"event\": \"A\"}\r\n{\"return\": 0, \"id\": \"99\"}\r\n{\"event\": \"B\"}\r\n"
                             "{\"return\": {\"answer\": 42}, \"id\": \"2\"}\r\n"});
    Qmp qmp(server.path, patience);
    EXPECT_EQ(qmp.execute("question", patience).at("answer"), 42);
    const auto events = qmp.take_events();
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events.front().at("event"), "A");
    EXPECT_TRUE(qmp.take_events().empty());
}

TEST(Qmp, ErrorsCarryClassAndWords) {
    const FakeServer server(
        {greeting, accepted, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}, \"id\": \"2\"}\n"});
    Qmp qmp(server.path, patience);
    try {
        qmp.execute("device_del", patience);
        FAIL() << "nothing was thrown";
    } catch (const QmpError& error) {
        EXPECT_EQ(error.error_class, "GenericError");
        EXPECT_STREQ(error.what(), "QEMU refused device_del: no such thing");
    }
}

TEST(Qmp, AServerThatSaysNothingIsWaitedForNoLongerThanAsked) {
    const FakeServer server({"{\"QMP\": "}, true);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(Qmp(server.path, milliseconds(50)), TimeoutError);
    EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(2'000));
}

TEST(Qmp, ACommandWithoutAnswerTimesOut) {
    const FakeServer server({greeting, accepted}, true);
    Qmp qmp(server.path, patience);
    EXPECT_THROW(qmp.execute("slow", milliseconds(50)), TimeoutError);
}

TEST(Qmp, NoServerIsATimeoutAndAFullQueueToo) {
    const TemporaryDirectory directory;
    EXPECT_THROW(Qmp(directory.path() + "/none", milliseconds(20)), TimeoutError);

    const std::string path = directory.path() + "/full";
    const int listener = listen_on(path);
    std::vector<int> clients; // its queue of 1 takes two
    for (int i = 0; i < 2; ++i) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        clients.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(::connect(clients.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    EXPECT_THROW(Qmp(path, milliseconds(20)), TimeoutError);
    for (const int client : clients) { ::close(client); }
    ::close(listener);
}

TEST(Qmp, AServerThatAppearsLaterIsFound) {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/late";
    std::thread server([&path] {
        std::this_thread::sleep_for(milliseconds(100));
        const int listener = listen_on(path);
        const int client = ::accept(listener, nullptr, nullptr);
        const std::string script = greeting + accepted;
        EXPECT_EQ(::send(client, script.data(), script.size(), MSG_NOSIGNAL), static_cast<ssize_t>(script.size()));
        char rest = 0;
        while (::read(client, &rest, 1) == 1) {}
        ::close(client);
        ::close(listener);
    });
    { const Qmp qmp(path, patience); }
    server.join();
}

TEST(Qmp, WhatIsNotQmpIsAnError) {
    for (const char* script :
         {"hello\n", "[1]\n", "{}\n", "{\"QMP\": 1}\n", "\n", "{\"QMP\": {\"version\": {}}}\n", "\xff\xfe{\"QMP\"\n"}) {
        const FakeServer server({script});
        EXPECT_THAT(failure_of([&] { const Qmp qmp(server.path, patience); }), HasSubstr("this is not QMP")) << script;
    }
}

TEST(Qmp, AServerThatHangsUpIsAnError) {
    {
        const FakeServer server({"{\"QMP\""});
        EXPECT_THAT(failure_of([&] { const Qmp qmp(server.path, patience); }),
                    HasSubstr("hung up before its greeting"));
    }
    const FakeServer server({greeting, accepted, "{\"ret"});
    Qmp qmp(server.path, patience);
    EXPECT_THAT(failure_of([&] { qmp.execute("query", patience); }), HasSubstr("hung up before it answered query"));
}

TEST(Qmp, ALineWithoutEndIsCutOff) {
    const FakeServer server({std::string(std::size_t{17} << 20U, 'x')});
    EXPECT_THAT(failure_of([&] { const Qmp qmp(server.path, patience); }), HasSubstr("a line of more than"));
}

TEST(Qmp, APathTooLongForASocketIsRefused) {
    EXPECT_THAT(failure_of([] { const Qmp qmp(std::string(108, 'x'), patience); }), HasSubstr("too long"));
}

} // namespace microvmc::test
