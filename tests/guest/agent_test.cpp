// The agent itself, beside another init as in a guest with one, its channel a pseudo-terminal.

#include "runtime/guest/agent.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

namespace microvmc::guest {
namespace {

using wire::Frame;
using wire::Type;

class AgentProcess {
public:
    explicit AgentProcess(const Settings& settings) : host_(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)) {
        grantpt(host_.get());
        unlockpt(host_.get());
        const std::string device = ptsname(host_.get());
        keep_open_ = Fd(::open(device.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        // The agent does the same; done here already, what is sent before that is not a line being edited.
        termios raw{};
        tcgetattr(keep_open_.get(), &raw);
        cfmakeraw(&raw);
        tcsetattr(keep_open_.get(), TCSANOW, &raw);
        pid_ = fork();
        if (pid_ == 0) {
            Channel channel;
            if (channel.open("tty:" + device)) { _exit(1); }
            Agent agent(settings, channel, Agent::Role::beside);
            agent.say_hello();
            report_end(agent.run(-1), channel);
            _exit(0);
        }
    }
    ~AgentProcess() {
        // What it executed has sessions of its own and would stay. Stopped, it starts no more.
        kill(pid_, SIGSTOP);
        const std::string pid = std::to_string(pid_);
        const std::string children = read_file("/proc/" + pid + "/task/" + pid + "/children").value_or("");
        for (const auto child : split(children, ' ')) {
            if (const auto number = wire::parse_number<pid_t>(child)) { kill(-*number, SIGKILL); }
        }
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    AgentProcess(const AgentProcess&) = delete;
    AgentProcess& operator=(const AgentProcess&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }

    void send_bytes(std::string_view bytes) {
        const std::int64_t deadline = now_ms() + limit_ms;
        while (!bytes.empty() && now_ms() < deadline) {
            const ssize_t written = ::write(host_.get(), bytes.data(), bytes.size());
            if (written > 0) { bytes.remove_prefix(static_cast<std::size_t>(written)); }
            receive(bytes.empty() ? 0 : 10);
        }
        EXPECT_TRUE(bytes.empty()) << "the agent doesn't read";
    }

    /// Sends what is taken within the time; says how much that is.
    std::size_t offer(std::string_view bytes, std::int64_t time_ms) {
        const std::int64_t deadline = now_ms() + time_ms;
        std::size_t taken = 0;
        while (taken < bytes.size() && now_ms() < deadline) {
            const ssize_t written = ::write(host_.get(), bytes.data() + taken, bytes.size() - taken);
            if (written > 0) { taken += static_cast<std::size_t>(written); }
            receive(written > 0 ? 0 : 10);
        }
        return taken;
    }

    void send(Type type, std::uint32_t stream, std::string_view payload) {
        send_bytes(wire::encode(type, stream, payload));
    }

    void execute(std::uint32_t stream, const std::vector<std::string>& argv, const std::vector<std::string>& env = {}) {
        send(Type::exec, stream, wire::encode_exec({false, 0, 0, 0, "/tmp", env, argv}));
    }

    void execute_in_window(std::uint32_t stream, std::uint32_t window, const std::vector<std::string>& argv) {
        send(Type::exec, stream, wire::encode_exec({false, 0, 0, window, "/tmp", {}, argv}));
    }

    /// The bytes of a stream's frames of output and errors that have come so far, headers included.
    [[nodiscard]] std::size_t size_of_output(std::uint32_t stream) const {
        std::size_t sum = 0;
        for (const auto& frame : frames_) {
            const bool counts = frame.type == Type::output || frame.type == Type::error;
            if (counts && frame.stream == stream) { sum += wire::frame_size(frame.payload.size()); }
        }
        return sum;
    }

    /// The payloads of a stream's frames of one type that have come so far, joined; they are taken away.
    std::string take(Type type, std::uint32_t stream) {
        std::string all;
        for (auto frame = frames_.begin(); frame != frames_.end();) {
            const bool wanted = frame->type == type && frame->stream == stream;
            if (wanted) { all += frame->payload; }
            frame = wanted ? frames_.erase(frame) : frame + 1;
        }
        return all;
    }

    /// The same for payloads that are numbers: their sum.
    std::size_t take_sum(Type type, std::uint32_t stream) {
        std::size_t sum = 0;
        for (auto frame = frames_.begin(); frame != frames_.end();) {
            const bool wanted = frame->type == type && frame->stream == stream;
            if (wanted) { sum += wire::parse_number<std::size_t>(frame->payload).value_or(0); }
            frame = wanted ? frames_.erase(frame) : frame + 1;
        }
        return sum;
    }

    [[nodiscard]] bool has(Type type, std::uint32_t stream) const {
        for (const auto& frame : frames_) {
            if (frame.type == type && frame.stream == stream) { return true; }
        }
        return false;
    }

    bool await(Type type, std::uint32_t stream = 0, std::int64_t limit = limit_ms) {
        const std::int64_t deadline = now_ms() + limit;
        while (!has(type, stream) && now_ms() < deadline) { receive(20); }
        return has(type, stream);
    }

    /// What `exit` says, -1: nothing.
    int await_exit(std::uint32_t stream) {
        if (!await(Type::exit, stream)) { return -1; }
        return wire::parse_number<int>(take(Type::exit, stream)).value_or(-2);
    }

    void receive(int timeout_ms) {
        pollfd waiting{host_.get(), POLLIN, 0};
        if (::poll(&waiting, 1, timeout_ms) != 1) { return; }
        char bytes[4096];
        ssize_t got = 0;
        while ((got = ::read(host_.get(), bytes, sizeof bytes)) > 0) {
            decoder_.feed({bytes, static_cast<std::size_t>(got)});
            while (auto frame = decoder_.next()) { frames_.push_back(std::move(*frame)); }
        }
    }

private:
    static constexpr std::int64_t limit_ms = 20'000;
    Fd host_;
    Fd keep_open_; ///< so that the terminal doesn't hang up before the agent has it
    pid_t pid_ = -1;
    wire::Decoder decoder_;
    std::vector<Frame> frames_;
};

TEST(Agent, SaysHelloAndAnswersPing) {
    AgentProcess agent({});
    ASSERT_TRUE(agent.await(Type::hello));
    const std::string hello = agent.take(Type::hello, 0);
    EXPECT_EQ(wire::split_fields(hello).at(0), std::to_string(wire::protocol_version));
    ASSERT_TRUE(agent.await(Type::ready));
    agent.take(Type::ready, 0);
    agent.send(Type::ping, 0, "");
    ASSERT_TRUE(agent.await(Type::hello));
    ASSERT_TRUE(agent.await(Type::ready)) << "a new host is told that it holds";
    EXPECT_EQ(agent.take(Type::hello, 0), hello);
}

TEST(Agent, ExecutesWithStreamsEnvironmentAndStatus) {
    Settings settings;
    settings.env = {"A=1", "B=2"};
    AgentProcess agent(settings);
    agent.execute(7, {"sh", "-c", "echo $A$B$C $PWD; echo wrong >&2; exit 42"}, {"B=3", "C=4"});
    EXPECT_EQ(agent.await_exit(7), 42);
    EXPECT_EQ(agent.take(Type::output, 7), "134 /tmp\n");
    EXPECT_EQ(agent.take(Type::error, 7), "wrong\n");
    agent.execute(8, {"sh", "-c", "kill -TERM $$"});
    EXPECT_EQ(agent.await_exit(8), 143);
    agent.execute(9, {"no-such-program"});
    EXPECT_EQ(agent.await_exit(9), 127);
    EXPECT_EQ(agent.take(Type::error, 9), "microvmc-init: cannot run no-such-program: No such file or directory\n");
    agent.execute(10, {"/etc"});
    EXPECT_EQ(agent.await_exit(10), 126);
    agent.send(Type::exec, 11, "nonsense");
    EXPECT_EQ(agent.await_exit(11), 126);
}

TEST(Agent, CarriesEveryByteBothWays) {
    std::mt19937 random(6);
    std::string data(1'000'000, '\0');
    for (auto& byte : data) { byte = static_cast<char>(random() & 0xff); }
    AgentProcess agent({});
    agent.execute(1, {"cat"});
    std::size_t sent = 0;
    std::size_t taken = 0;
    std::string echoed;
    const std::int64_t deadline = now_ms() + 60'000;
    while (echoed.size() < data.size() && now_ms() < deadline) {
        constexpr std::size_t piece = 10'000;
        while (sent < data.size() && sent - taken + piece <= wire::input_window) {
            agent.send(Type::input, 1, std::string_view(data).substr(sent, piece));
            sent += std::min(piece, data.size() - sent);
        }
        agent.receive(10);
        taken += agent.take_sum(Type::taken, 1);
        echoed += agent.take(Type::output, 1);
    }
    EXPECT_TRUE(echoed == data);
    EXPECT_EQ(taken, data.size());
    agent.send(Type::input, 1, "");
    EXPECT_EQ(agent.await_exit(1), 0);
}

TEST(Agent, AProcessThatDoesNotReadHoldsUpNobody) {
    AgentProcess agent({});
    agent.execute(1, {"sleep", "100"});
    for (std::size_t sent = 0; sent + 30'000 < wire::input_window; sent += 30'000) {
        agent.send(Type::input, 1, std::string(30'000, 'x'));
    }
    agent.execute(2, {"echo", "alive"});
    EXPECT_EQ(agent.await_exit(2), 0);
    EXPECT_EQ(agent.take(Type::output, 2), "alive\n");
    agent.send(Type::signal, 1, "9");
    EXPECT_EQ(agent.await_exit(1), 137);
}

TEST(Agent, InputBeyondTheWindowWaitsAndIsNotLost) {
    AgentProcess agent({});
    agent.execute(1, {"sh", "-c", "sleep 1; wc -c"});
    for (int i = 0; i < 20; ++i) { agent.send(Type::input, 1, std::string(50'000, 'y')); }
    agent.send(Type::input, 1, "");
    EXPECT_EQ(agent.await_exit(1), 0);
    EXPECT_EQ(trim(agent.take(Type::output, 1)), "1000000");
}

TEST(Agent, ManyStreamsKeepTheirOutputWhileTheHostDoesNotRead) {
    AgentProcess agent({});
    for (std::uint32_t stream = 1; stream <= 4; ++stream) {
        agent.execute(stream, {"sh", "-c",
                               "head -c 300000 /dev/zero | tr '\\0' " + std::to_string(stream) + "; exit " +
                                   std::to_string(stream)});
    }
    sleep_ms(500);
    for (std::uint32_t stream = 1; stream <= 4; ++stream) {
        EXPECT_EQ(agent.await_exit(stream), static_cast<int>(stream));
        EXPECT_TRUE(agent.take(Type::output, stream) ==
                    std::string(300'000, static_cast<char>('0' + static_cast<char>(stream))));
    }
}

TEST(Agent, InputThatNobodyTakesStaysWithTheHost) {
    AgentProcess agent({});
    ASSERT_TRUE(agent.await(Type::hello));
    agent.execute(1, {"sleep", "100"});
    const std::string frame = wire::encode(Type::input, 1, std::string(wire::max_payload, 'x'));
    std::string much;
    while (much.size() < (4U << 20)) { much += frame; }
    EXPECT_LT(agent.offer(much, 1'000), 2 * wire::input_window);
}

TEST(Agent, OutputThatNobodyTakesStaysInTheProcess) {
    AgentProcess agent({});
    ASSERT_TRUE(agent.await(Type::hello));
    const auto resident_kib = [&] {
        // proc(5): statm's second field is the resident set, in pages.
        const std::string statm = read_file("/proc/" + std::to_string(agent.pid()) + "/statm").value_or("0 0");
        return std::stol(std::string(split(statm, ' ').at(1))) * (sysconf(_SC_PAGESIZE) / 1024);
    };
    const long before = resident_kib();
    agent.execute(1, {"head", "-c", "50000000", "/dev/zero"});
    sleep_ms(1'000);
    EXPECT_LT(resident_kib() - before, 4'096);
    agent.execute(2, {"true"});
    agent.send(Type::close, 1, "");
    EXPECT_EQ(agent.await_exit(2), 0);
}

TEST(Agent, OutputBeyondTheWindowWaitsForAGrantAndHoldsUpNobody) {
    constexpr std::uint32_t window = 10'000;
    AgentProcess agent({});
    // Small pieces, to both: the headers count. It has ended long before all of it is granted.
    agent.execute_in_window(
        1, window, {"sh", "-c", "for i in 1 2 3 4; do head -c 5000 /dev/zero; echo e >&2; sleep 0.02; done; exit 5"});
    std::size_t granted = window;
    for (const std::size_t more : {std::size_t{0}, std::size_t{3'000}, std::size_t{21}}) {
        if (more != 0) { agent.send(Type::grant, 1, std::to_string(more)); }
        granted += more;
        agent.receive(0);
        for (int i = 0; i < 30; ++i) { agent.receive(10); }
        EXPECT_LE(agent.size_of_output(1), granted);
        EXPECT_GT(agent.size_of_output(1) + wire::frame_size(1), granted);
        agent.execute(2, {"echo", "alive"});
        EXPECT_EQ(agent.await_exit(2), 0);
        EXPECT_EQ(agent.take(Type::output, 2), "alive\n");
        EXPECT_FALSE(agent.has(Type::exit, 1));
    }
    agent.send(Type::grant, 1, "10000");
    EXPECT_EQ(agent.await_exit(1), 5);
    EXPECT_TRUE(agent.take(Type::output, 1) == std::string(20'000, '\0'));
    EXPECT_EQ(agent.take(Type::error, 1), "e\ne\ne\ne\n");
}

TEST(Agent, AGrantIsNoMoreThanTheWindow) {
    AgentProcess agent({});
    agent.execute_in_window(1, 1'000, {"sh", "-c", "head -c 100000 /dev/zero; exit 1"});
    for (const char* wrong :
         {"", "-1", "x", "99999999999999999999999", "18446744073709551615", "18446744073709551615"}) {
        agent.send(Type::grant, 1, wrong);
    }
    agent.send(Type::grant, 7, "1000");
    for (int i = 0; i < 20; ++i) { agent.receive(10); }
    EXPECT_LE(agent.size_of_output(1), 3'000U); // the two large ones may have found it used up
    agent.send(Type::close, 1, "");             // what nobody wants needs no grant
    agent.execute(2, {"true"});
    EXPECT_EQ(agent.await_exit(2), 0);
}

TEST(Agent, ABackgroundProcessDoesNotDelayTheExit) {
    AgentProcess agent({});
    agent.execute(1, {"sh", "-c", "sleep 5 & echo started"});
    const std::int64_t start = now_ms();
    EXPECT_EQ(agent.await_exit(1), 0);
    EXPECT_LT(now_ms() - start, 3'000);
    EXPECT_EQ(agent.take(Type::output, 1), "started\n");
}

TEST(Agent, Terminal) {
    AgentProcess agent({});
    agent.send(
        Type::exec, 1,
        wire::encode_exec({true, 33, 77, 0, "", {}, {"sh", "-c", "tty; stty size; read x; stty size; sleep 100"}}));
    const std::int64_t deadline = now_ms() + 10'000;
    std::string output;
    while (output.find("33 77") == std::string::npos && now_ms() < deadline) {
        agent.receive(20);
        output += agent.take(Type::output, 1);
    }
    EXPECT_NE(output.find("/dev/pts/"), std::string::npos) << output;
    agent.send(Type::resize, 1, wire::join_fields({"10", "20"}));
    agent.send(Type::input, 1, "\n");
    while (output.find("10 20") == std::string::npos && now_ms() < deadline) {
        agent.receive(20);
        output += agent.take(Type::output, 1);
    }
    EXPECT_NE(output.find("10 20"), std::string::npos) << output;
    // More than once: a shell takes no notice of an interrupt that came while a program ran that then ended well.
    do { agent.send(Type::input, 1, "\x03"); } while (!agent.await(Type::exit, 1, 100) && now_ms() < deadline);
    EXPECT_EQ(agent.await_exit(1), 130);
}

TEST(Agent, CloseHangsUpAndIsSilent) {
    AgentProcess agent({});
    char path[] = "/tmp/microvmc-agent-XXXXXX";
    Fd(::mkstemp(path)).reset();
    agent.execute(1,
                  {"sh", "-c",
                   std::string("trap 'echo hung-up > ") + path + "; exit' HUP; while :; do echo x; sleep 0.02; done"});
    ASSERT_TRUE(agent.await(Type::output, 1));
    agent.send(Type::close, 1, "");
    EXPECT_TRUE(wait_for(
        10'000, [&] { return read_file(path) == "hung-up\n"; }, 10));
    agent.take(Type::hello, 0);
    agent.send(Type::ping, 0, "");
    agent.await(Type::hello);
    agent.receive(200);
    EXPECT_FALSE(agent.has(Type::exit, 1));
    unlink(path);
}

// No time here: it would be this host's.
TEST(Agent, RestoredHangsUpWhatRunsAndResumedDoesNot) {
    AgentProcess agent(Settings{});
    agent.execute(1, {"sh", "-c", "trap 'exit 3' HUP; echo up; while :; do sleep 0.1; done"});
    ASSERT_TRUE(agent.await(Type::output, 1));
    agent.send(Type::renew, 0, wire::join_fields({"resumed", "no time", "no seed"}));
    ASSERT_TRUE(agent.await(Type::renewed));
    EXPECT_EQ(agent.take(Type::renewed, 0), "malformed time; malformed seed");
    EXPECT_FALSE(agent.await(Type::exit, 1, 300));
    agent.send(Type::renew, 0, wire::join_fields({"restored", "no time", "00ff"}));
    ASSERT_TRUE(agent.await(Type::renewed));
    // Of a seed that is one the kernel may say no, too, to who isn't root.
    EXPECT_EQ(agent.take(Type::renewed, 0).substr(0, 14), "malformed time");
    EXPECT_FALSE(agent.await(Type::exit, 1, 300)) << "nobody listens any more";
    agent.execute(1, {"echo", "again"});
    ASSERT_TRUE(agent.await(Type::exit, 1)) << "its number is free again";
    agent.send(Type::renew, 0, "restored");
    ASSERT_TRUE(agent.await(Type::renewed));
    EXPECT_EQ(agent.take(Type::renewed, 0), "malformed renew");
}

TEST(Agent, FindsItsWayAfterGarbageAndACutFrame) {
    AgentProcess agent({});
    ASSERT_TRUE(agent.await(Type::hello));
    agent.take(Type::hello, 0);
    agent.send_bytes("garbage mvmcmvmc");
    agent.send(Type::ping, 0, "");
    EXPECT_TRUE(agent.await(Type::hello));
    agent.take(Type::hello, 0);
    agent.send_bytes(wire::encode(Type::input, 5, std::string(60'000, 'z')).substr(0, 30'000));
    sleep_ms(wire::frame_gap_ms + 300);
    agent.send(Type::ping, 0, "");
    EXPECT_TRUE(agent.await(Type::hello));
}

TEST(Agent, RandomFramesNeverEndIt) {
    std::mt19937 random(7);
    AgentProcess agent({});
    for (int round = 0; round < 3'000; ++round) {
        std::string payload(random() % 40, '\0');
        for (auto& byte : payload) { byte = static_cast<char>(random() & 0xff); }
        auto type = static_cast<Type>(random() % 48);
        // These have effects outside of the agent.
        if (type == Type::shutdown || type == Type::signal || type == Type::exec) { type = Type::ping; }
        agent.send(type, random() % 4, payload);
    }
    agent.take(Type::hello, 0);
    agent.send(Type::ping, 0, "");
    EXPECT_TRUE(agent.await(Type::hello));
}

TEST(Agent, ReadyWhenThePortListens) {
    const Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(server.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    Settings settings;
    settings.ready = ready::Tcp{ntohs(address.sin_port)};
    AgentProcess agent(settings);
    ASSERT_TRUE(agent.await(Type::hello));
    EXPECT_FALSE(agent.await(Type::ready, 0, 200));
    ASSERT_EQ(listen(server.get(), 5), 0);
    EXPECT_TRUE(agent.await(Type::ready));
}

TEST(Agent, ReadyWhenTheServerAnswersWell) {
    const Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(server.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    ASSERT_EQ(getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    ASSERT_EQ(listen(server.get(), 5), 0);
    Settings settings;
    settings.ready = ready::Http{ntohs(address.sin_port), "/healthz"};
    AgentProcess agent(settings);
    const auto answer = [&](std::string_view text) {
        std::string request;
        wait_for(10'000, [&] {
            const Fd client(accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!client.open()) { return false; }
            char bytes[512];
            const ssize_t got = ::recv(client.get(), bytes, sizeof bytes, 0);
            request.assign(bytes, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
            write_all(client.get(), text);
            return true;
        });
        return request;
    };
    EXPECT_EQ(answer("HTTP/1.1 503 Not yet\r\n\r\n").substr(0, 22), "GET /healthz HTTP/1.1\r");
    EXPECT_FALSE(agent.await(Type::ready, 0, 100));
    answer("HTTP/1.1 200 OK\r\n\r\n");
    EXPECT_TRUE(agent.await(Type::ready));
}

TEST(Agent, ReadyWhenTheCommandSucceeds) {
    char path[] = "/tmp/microvmc-agent-XXXXXX";
    Fd(::mkstemp(path)).reset();
    Settings settings;
    settings.ready = ready::Command{{"test", "-s", path}};
    AgentProcess agent(settings);
    ASSERT_TRUE(agent.await(Type::hello));
    EXPECT_FALSE(agent.await(Type::ready, 0, 300));
    ASSERT_TRUE(write_file(path, "x"));
    EXPECT_TRUE(agent.await(Type::ready));
    unlink(path);
}

TEST(Agent, NeverReadyWhenTheHostDecides) {
    Settings settings;
    settings.ready = ready::Host{};
    AgentProcess agent(settings);
    ASSERT_TRUE(agent.await(Type::hello));
    EXPECT_FALSE(agent.await(Type::ready, 0, 200));
}

TEST(Agent, ReportsTheEndWhenTheInitTerminatesIt) {
    AgentProcess agent({});
    ASSERT_TRUE(agent.await(Type::hello));
    kill(agent.pid(), SIGTERM);
    ASSERT_TRUE(agent.await(Type::end));
    EXPECT_EQ(agent.take(Type::end, 0), wire::join_fields({"poweroff", "0"}));
}

TEST(Agent, AsksForNoCpuWhenIdleOrHeldUp) {
    AgentProcess agent({});
    ASSERT_TRUE(agent.await(Type::ready));
    const auto ticks = [&] {
        // proc(5): utime and stime are fields 14 and 15.
        const std::string stat = read_file("/proc/" + std::to_string(agent.pid()) + "/stat").value_or("");
        const auto fields = split(std::string_view(stat).substr(stat.rfind(')')), ' ');
        return std::stol(std::string(fields.at(12))) + std::stol(std::string(fields.at(13)));
    };
    sleep_ms(100);
    long before = ticks();
    sleep_ms(500);
    EXPECT_LE(ticks() - before, 1);
    agent.execute(1, {"sleep", "100"});
    agent.send(Type::input, 1, std::string(wire::max_payload, 'x')); // fills the pipe
    agent.send(Type::input, 1, "more");
    agent.execute(2, {"sh", "-c", "head -c 300000 /dev/zero; exec >&- 2>&-; sleep 100"}); // nobody takes it
    sleep_ms(500);
    before = ticks();
    sleep_ms(500);
    EXPECT_LE(ticks() - before, 1);
    agent.send(Type::close, 1, "");
    agent.send(Type::close, 2, "");
    agent.take(Type::hello, 0);
    agent.send(Type::ping, 0, "");
    EXPECT_TRUE(agent.await(Type::hello));
}

} // namespace
} // namespace microvmc::guest
