#include "testkit/net.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

struct Authority {
    std::string host; ///< without brackets
    std::string port; ///< empty: there is none
};

/// "HOST", "HOST:PORT", "[V6]:PORT"
std::optional<Authority> split_authority(std::string_view text) {
    std::string_view host = text;
    std::string_view rest;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) { return std::nullopt; }
        host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
    } else if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
        host = text.substr(0, colon);
        rest = text.substr(colon);
    }
    if (host.empty() || (!rest.empty() && !rest.starts_with(':'))) { return std::nullopt; }
    if (!rest.empty()) {
        rest.remove_prefix(1);
        const auto port = parse_number(rest);
        if (!port || *port < 1 || *port > 65535) { return std::nullopt; }
    }
    return Authority{std::string(host), std::string(rest)};
}

Authority address_and_port(std::string_view address) {
    auto where = split_authority(address);
    if (!where || where->port.empty()) {
        throw Error(fmt::format("{} is no ADDRESS:PORT", printable(address)), "for example 127.0.0.1:8080");
    }
    return std::move(*where);
}

/// One connection, whose operations all end by the deadline.
template <typename Protocol> class Connection {
public:
    explicit Connection(Clock::time_point deadline) : deadline_(deadline), socket_(io_) {}

    typename Protocol::socket& socket() { return socket_; }

    /// Runs one asynchronous operation to its end.
    template <typename Start> error_code run(Start start) {
        std::optional<error_code> result;
        start([&result](error_code error, auto&&...) { result = error; });
        io_.restart();
        while (!result && io_.run_one_until(deadline_) != 0) {}
        if (result) { return *result; }
        error_code ignored;
        socket_.close(ignored);
        io_.restart();
        io_.run(); // what was begun uses the caller's buffers
        return asio::error::timed_out;
    }

    /// Names are looked up without a deadline of ours: resolv.conf(5) has one.
    error_code connect(const std::string& host, const std::string& port) {
        error_code error;
        typename Protocol::resolver resolver(io_);
        const auto endpoints = resolver.resolve(host, port, error);
        if (error) { return error; }
        return run([&](auto handler) { asio::async_connect(socket_, endpoints, handler); });
    }

private:
    Clock::time_point deadline_;
    asio::io_context io_;
    typename Protocol::socket socket_;
};

NetAnswer no_answer(const error_code& error) {
    NetAnswer answer;
    answer.timed_out = error == asio::error::timed_out;
    const bool closed = error == http::error::end_of_stream || error == asio::error::eof ||
                        error == http::error::partial_message || error == asio::error::connection_reset;
    answer.problem = answer.timed_out                           ? "no answer in time"
                     : closed                                   ? "the connection was closed without an answer"
                     : error == asio::error::connection_refused ? "connection refused"
                                                                : error.message();
    std::ranges::replace(answer.problem, '\n', ' ');
    return answer;
}

} // namespace

Url parse_url(std::string_view text) {
    constexpr std::string_view scheme = "http://";
    const std::string help = "http steps take http://HOST[:PORT][/PATH]";
    if (!text.starts_with(scheme)) { throw Error(fmt::format("{} is no HTTP URL", printable(text)), help); }
    const std::string_view rest = text.substr(scheme.size());
    const std::size_t slash = std::min(rest.find_first_of("/?#"), rest.size());
    const auto authority = split_authority(rest.substr(0, slash));
    if (!authority) { throw Error(fmt::format("{} names no host", printable(text)), help); }
    std::string target(
        rest.substr(slash, rest.find('#') == std::string_view::npos ? rest.npos : rest.find('#') - slash));
    if (!target.starts_with('/')) { target.insert(0, "/"); }
    const bool clean = std::ranges::all_of(target, [](char c) { return c > ' ' && c != 127; });
    if (!clean) { throw Error(fmt::format("{} is no HTTP URL", printable(text)), "write what is special as %XX"); }
    return {authority->host, authority->port.empty() ? "80" : authority->port, target};
}

NetAnswer http_get(const Url& url, std::chrono::milliseconds timeout, std::size_t limit) {
    Connection<tcp> connection(Clock::now() + timeout);
    if (const error_code error = connection.connect(url.host, url.port); error) { return no_answer(error); }
    http::request<http::empty_body> request{http::verb::get, url.target, 11};
    const bool v6 = url.host.find(':') != std::string::npos;
    request.set(http::field::host, fmt::format("{}{}{}:{}", v6 ? "[" : "", url.host, v6 ? "]" : "", url.port));
    request.set(http::field::connection, "close");
    const error_code sent =
        connection.run([&](auto handler) { http::async_write(connection.socket(), request, handler); });
    if (sent) { return no_answer(sent); }
    http::response_parser<http::string_body> parser;
    parser.body_limit(limit);
    beast::flat_buffer buffer;
    const error_code error =
        connection.run([&](auto handler) { http::async_read(connection.socket(), buffer, parser, handler); });
    if (error) { return no_answer(error); }
    NetAnswer answer;
    answer.status = parser.get().result_int();
    answer.bytes = std::move(parser.get().body());
    return answer;
}

NetAnswer tcp_read(std::string_view address, std::string_view text, std::chrono::milliseconds timeout,
                   std::size_t limit) {
    const Authority where = address_and_port(address);
    Connection<tcp> connection(Clock::now() + timeout);
    if (const error_code error = connection.connect(where.host, where.port); error) { return no_answer(error); }
    if (!text.empty()) {
        const error_code sent =
            connection.run([&](auto handler) { asio::async_write(connection.socket(), asio::buffer(text), handler); });
        if (sent) { return no_answer(sent); }
    }
    NetAnswer answer;
    const error_code error = connection.run([&](auto handler) {
        asio::async_read(connection.socket(), asio::dynamic_buffer(answer.bytes, limit), handler);
    });
    if (!error) { return {.status = {}, .bytes = {}, .problem = fmt::format("it said more than {} bytes", limit)}; }
    answer.status = 0;
    return answer;
}

NetAnswer udp_ask(std::string_view address, std::string_view text, std::chrono::milliseconds timeout) {
    constexpr std::size_t longest_datagram = 65536;
    const Authority where = address_and_port(address);
    Connection<udp> connection(Clock::now() + timeout);
    if (const error_code error = connection.connect(where.host, where.port); error) { return no_answer(error); }
    const error_code sent =
        connection.run([&](auto handler) { connection.socket().async_send(asio::buffer(text), handler); });
    if (sent) { return no_answer(sent); }
    NetAnswer answer;
    std::string bytes(longest_datagram, '\0');
    std::size_t size = 0;
    const error_code error = connection.run([&](auto handler) {
        connection.socket().async_receive(asio::buffer(bytes), [&size, handler](error_code what, std::size_t count) {
            size = count;
            handler(what);
        });
    });
    if (error) { return no_answer(error); }
    bytes.resize(size);
    answer.status = 0;
    answer.bytes = std::move(bytes);
    return answer;
}

} // namespace microvmc::testkit
