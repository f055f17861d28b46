#include "testkit/net.h"

#include "runtime/error.h"

#include <boost/asio.hpp>
#include <gmock/gmock.h>

#include <thread>

// HTTP and TCP steps, against servers of our own.

namespace microvmc::testkit {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;

namespace {

/// Takes one connection, reads what comes up to an empty line when `reads`, says `answer`, and closes it, or keeps it
/// open until it is destroyed.
class Server {
public:
    explicit Server(std::string answer, bool reads = true, bool closes = true)
        : acceptor_(io_, tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 0)), connection_(io_),
          thread_([this, answer = std::move(answer), reads, closes] {
              boost::system::error_code error;
              acceptor_.accept(connection_, error);
              if (error) { return; }
              if (reads) { boost::asio::read_until(connection_, boost::asio::dynamic_buffer(request_), "\r\n\r\n"); }
              boost::asio::write(connection_, boost::asio::buffer(answer), error);
              if (closes) { connection_.close(); }
          }) {}
    ~Server() {
        boost::system::error_code error;
        acceptor_.cancel(error);
        ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
        thread_.join();
    }
    [[nodiscard]] std::string port() const { return std::to_string(acceptor_.local_endpoint().port()); }
    std::string request_;

private:
    boost::asio::io_context io_;
    tcp::acceptor acceptor_;
    tcp::socket connection_;
    std::thread thread_;
};

std::string unused_port() {
    boost::asio::io_context io;
    const tcp::acceptor acceptor(io, tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 0));
    return std::to_string(acceptor.local_endpoint().port());
}

NetAnswer get(const std::string& port, std::chrono::milliseconds time = 5s, std::size_t limit = 1000) {
    return http_get(parse_url("http://127.0.0.1:" + port + "/a?b"), time, limit);
}

} // namespace

TEST(Url, IsTakenApart) {
    const Url plain = parse_url("http://localhost");
    EXPECT_EQ(plain.host + "|" + plain.port + "|" + plain.target, "localhost|80|/");
    const Url whole = parse_url("http://[::1]:8080/a/b?c=d#e");
    EXPECT_EQ(whole.host + "|" + whole.port + "|" + whole.target, "::1|8080|/a/b?c=d");
    const Url query = parse_url("http://h?x");
    EXPECT_EQ(query.target, "/?x");
}

TEST(Url, WhatIsNoneIsRefused) {
    for (const char* text : {"", "https://h/", "http://", "http://:80/", "http://h:0/", "http://h:70000/",
                             "http://h:x/", "http://[::1/", "http://h/a b", "http://h/\r\nX: y"}) {
        EXPECT_THROW(parse_url(text), Error) << text;
    }
}

TEST(Http, GivesStatusAndBody) {
    Server server("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc");
    const NetAnswer answer = get(server.port());
    EXPECT_EQ(answer.status, 404);
    EXPECT_EQ(answer.bytes, "abc");
    EXPECT_THAT(server.request_, ::testing::StartsWith("GET /a?b HTTP/1.1\r\n"));
    EXPECT_THAT(server.request_, ::testing::HasSubstr("Host: 127.0.0.1:" + server.port() + "\r\n"));
}

TEST(Http, ABodyMayEndWithTheConnection) {
    const Server server("HTTP/1.0 200 OK\r\n\r\nall of it");
    EXPECT_EQ(get(server.port()).bytes, "all of it");
}

TEST(Http, SaysWhyThereIsNoAnswer) {
    EXPECT_EQ(get(unused_port()).problem, "connection refused");
    {
        const Server server("");
        EXPECT_EQ(get(server.port()).problem, "the connection was closed without an answer");
    }
    {
        const Server server("HTTP/1.1 200 OK\r\n\r\n" + std::string(2000, 'x'));
        EXPECT_FALSE(get(server.port()).status) << "more than its limit";
    }
    const Server server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true, false);
    const NetAnswer late = get(server.port(), 300ms);
    EXPECT_TRUE(late.timed_out);
    EXPECT_FALSE(late.status);
}

TEST(Tcp, ReadsUntilTheOtherSideCloses) {
    const Server server(std::string("a\0b", 3), false);
    const NetAnswer answer = tcp_read("127.0.0.1:" + server.port(), "", 5s, 1000);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.bytes, std::string("a\0b", 3));
}

TEST(Tcp, OneThatStaysOpenHasSaidWhatItSaid) {
    const Server server("greeting", false, false);
    const NetAnswer answer = tcp_read("127.0.0.1:" + server.port(), "", 500ms, 1000);
    EXPECT_EQ(answer.status, 0);
    EXPECT_EQ(answer.bytes, "greeting");
}

TEST(Tcp, SaysWhyItCantConnect) {
    EXPECT_EQ(tcp_read("127.0.0.1:" + unused_port(), "", 5s, 1000).problem, "connection refused");
    EXPECT_THROW(tcp_read("127.0.0.1", "", 5s, 1000), Error);
    const Server server(std::string(2000, 'x'), false);
    EXPECT_FALSE(tcp_read("127.0.0.1:" + server.port(), "", 5s, 1000).status);
}

} // namespace microvmc::testkit
