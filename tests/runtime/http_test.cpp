#include "runtime/http_client.h"

#include "tests/host/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

namespace microvmc::test {

namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr milliseconds patience{10'000};

// Takes one request, then says `answer` and hangs up; an empty one is never said.
class Server {
public:
    explicit Server(std::string answer)
        : path(directory_.path() + "/api.sock"), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
        ::listen(listener_, 1);
        thread_ = std::thread([this, answer = std::move(answer)] { serve(answer); });
    }
    ~Server() {
        thread_.join();
        ::close(listener_);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// All that came, once the client is gone.
    std::string request() {
        while (!done_) { std::this_thread::sleep_for(milliseconds(1)); }
        return request_;
    }

private:
    void serve(const std::string& answer) {
        const int client = ::accept(listener_, nullptr, nullptr);
        char bytes[4096];
        const auto has_all = [this] {
            const std::size_t head = request_.find("\r\n\r\n");
            if (head == std::string::npos) { return false; }
            const std::size_t length = request_.find("Content-Length: ");
            return length > head || request_.size() - head - 4 == std::stoul(request_.substr(length + 16));
        };
        for (ssize_t count = 0; !has_all() && (count = ::read(client, bytes, sizeof bytes)) > 0;) {
            request_.append(bytes, static_cast<std::size_t>(count));
        }
        if (answer.empty()) {
            while (::read(client, bytes, sizeof bytes) > 0) {}
        } else {
            EXPECT_EQ(::write(client, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
        }
        ::close(client);
        done_ = true;
    }

    TemporaryDirectory directory_;

public:
    const std::string path;

private:
    int listener_;
    std::string request_;
    std::atomic<bool> done_ = false;
    std::thread thread_;
};

std::string answer(const std::string& status, const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

template <typename E> std::string words(const std::string& said) {
    Server server(said);
    try {
        http_request(server.path, "PUT", "/vm", {{"a", 1}}, patience);
    } catch (const E& error) { return error.what(); }
    return "nothing was thrown";
}

} // namespace

TEST(HttpClient, SendsJsonAndReturnsIt) {
    Server server(answer("200 OK", R"({"state": "Running"})"));
    const nlohmann::json got = http_request(server.path, "PUT", "/actions", {{"action", "start"}}, patience);
    EXPECT_EQ(got, (nlohmann::json{{"state", "Running"}}));
    EXPECT_THAT(server.request(),
                AllOf(HasSubstr("PUT /actions HTTP/1.1\r\n"), HasSubstr("Host: localhost\r\n"),
                      HasSubstr("Content-Type: application/json\r\n"), HasSubstr("\r\n\r\n{\"action\":\"start\"}")));
}

TEST(HttpClient, TakesAnAnswerWithoutABody) {
    Server server("HTTP/1.1 204 \r\nServer: x\r\n\r\n");
    EXPECT_TRUE(http_request(server.path, "GET", "/", nullptr, patience).is_null());
    EXPECT_THAT(server.request(), ::testing::Not(HasSubstr("Content-Type")));
}

TEST(HttpClient, ARefusalHasTheServersWords) {
    EXPECT_EQ(words<HttpError>(answer("400 Bad Request", R"({"fault_message": "no such drive"})")),
              "the VMM refused PUT /vm: no such drive");
    EXPECT_EQ(words<HttpError>(answer("500 X", R"(["Error from API", "The VM could not be paused"])")),
              "the VMM refused PUT /vm: Error from API: The VM could not be paused");
    EXPECT_EQ(
        words<HttpError>(answer("500 X", R"(["Error from API", "os error 22\n\nStack backtrace:\n  0: <unknown>"])")),
        "the VMM refused PUT /vm: Error from API: os error 22");
    EXPECT_EQ(words<HttpError>(answer("500 X", "plain\nwords\n")), "the VMM refused PUT /vm: plain words");
    EXPECT_EQ(words<HttpError>(answer("404 Not Found", "")), "the VMM refused PUT /vm: status 404");
}

TEST(HttpClient, WhatIsNoAnswerIsAnError) {
    EXPECT_THAT(words<Error>("what?\r\n\r\n"), HasSubstr("PUT /vm: "));
    EXPECT_THAT(words<Error>(answer("200 OK", "{")), HasSubstr("is no JSON: {"));
    EXPECT_THAT(words<Error>("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"),
                HasSubstr("hung up before it answered"));
    EXPECT_THAT(words<Error>("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}"), HasSubstr("limit"));
}

TEST(HttpClient, IsBoundedInTime) {
    Server server("");
    EXPECT_THROW(http_request(server.path, "GET", "/", nullptr, milliseconds(100)), TimeoutError);
    const TemporaryDirectory empty;
    EXPECT_THROW(http_request(empty.path() + "/none", "GET", "/", nullptr, milliseconds(50)), TimeoutError);
}

} // namespace microvmc::test
