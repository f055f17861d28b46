// The agent on a channel to which hosts connect: a Unix socket stands in for vsock, which needs a guest.

#include "runtime/guest/agent.h"

#include <gtest/gtest.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace microvmc::guest {
namespace {

using wire::Type;

class Served : public testing::Test {
protected:
    Served() {
        char name[] = "/tmp/mvmc-XXXXXX";
        directory_ = mkdtemp(name);
        address_.sun_family = AF_UNIX;
        (directory_ + "/agent").copy(address_.sun_path, sizeof address_.sun_path - 1);
        Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        bind(listener.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_);
        listen(listener.get(), 4);
        pid_ = fork();
        if (pid_ != 0) { return; }
        Channel channel;
        channel.serve(std::move(listener));
        Agent agent({}, channel, Agent::Role::beside);
        agent.say_hello();
        report_end(agent.run(-1), channel);
        channel.close();
        _exit(0);
    }
    ~Served() override {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        unlink(address_.sun_path);
        rmdir(directory_.c_str());
    }

    [[nodiscard]] Fd connect_host() const {
        Fd host(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(connect(host.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
        return host;
    }

    static void send(const Fd& host, Type type, std::uint32_t stream, std::string_view payload) {
        write_all(host.get(), wire::encode(type, stream, payload));
    }

    /// The next frame of this type; nothing: it hung up, or said nothing for 10 s.
    std::optional<wire::Frame> await(const Fd& host, Type type) {
        wire::Decoder decoder;
        for (;;) {
            while (auto frame = decoder.next()) {
                if (frame->type == type) { return frame; }
            }
            pollfd waiting{host.get(), POLLIN, 0};
            char bytes[4096];
            const ssize_t got = ::poll(&waiting, 1, 10'000) == 1 ? ::read(host.get(), bytes, sizeof bytes) : 0;
            if (got <= 0) { return std::nullopt; }
            decoder.feed({bytes, static_cast<std::size_t>(got)});
        }
    }

    std::string directory_;
    sockaddr_un address_{};
    pid_t pid_ = -1;
};

TEST_F(Served, WhatWasSaidBeforeAHostCameIsHeard) {
    sleep_ms(100);
    const Fd host = connect_host();
    EXPECT_TRUE(await(host, Type::hello));
}

TEST_F(Served, AHostThatComesAgainIsAnswered) {
    for (std::uint32_t i = 0; i < 100; ++i) { // what was begun for the one before may not have ended
        const Fd host = connect_host();
        send(host, Type::ping, 0, "");
        EXPECT_TRUE(await(host, Type::hello));
        send(host, Type::exec, 7 + i, wire::encode_exec({false, 0, 0, 0, "/tmp", {}, {"echo", "here"}}));
        const auto output = await(host, Type::output);
        ASSERT_TRUE(output);
        EXPECT_EQ(output->payload, "here\n");
    }
}

TEST_F(Served, TheHostThatCameLastIsSpokenTo) {
    const Fd first = connect_host();
    ASSERT_TRUE(await(first, Type::hello));
    const Fd second = connect_host();
    send(second, Type::ping, 0, "");
    EXPECT_TRUE(await(second, Type::hello));
    EXPECT_FALSE(await(first, Type::output)) << "it is hung up on";
}

TEST_F(Served, WhatWasForAHostThatLeftIsDropped) {
    {
        const Fd host = connect_host();
        ASSERT_TRUE(await(host, Type::hello));
        send(host, Type::exec, 7,
             wire::encode_exec({false, 0, 0, 0, "/tmp", {}, {"head", "-c", "3000000", "/dev/zero"}}));
        ASSERT_TRUE(await(host, Type::output));
    }
    const Fd host = connect_host();
    send(host, Type::close, 7, "");
    send(host, Type::ping, 0, "");
    EXPECT_TRUE(await(host, Type::hello));
}

TEST_F(Served, TheEndIsReported) {
    const Fd host = connect_host();
    ASSERT_TRUE(await(host, Type::hello));
    kill(pid_, SIGTERM);
    EXPECT_TRUE(await(host, Type::end));
}

} // namespace
} // namespace microvmc::guest
