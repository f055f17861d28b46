#include "runtime/http_client.h"

#include "runtime/unix_socket.h"

#include <boost/asio/io_context.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <vector>

namespace microvmc {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::size_t max_answer = std::size_t{16} << 20U;
constexpr std::size_t max_words = 1000;
constexpr std::string_view backtrace = "\n\nStack backtrace:"; ///< that Rust's anyhow adds

/// What a server says of an error: an object's only text ({"fault_message": "..."}), an array of them from the
/// outermost to its cause, or the text itself.
std::string words_of(const std::string& body) {
    const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
    std::vector<std::string> words;
    if (json.is_object() || json.is_array()) {
        for (const nlohmann::json& each : json) {
            if (each.is_string()) { words.push_back(each.get<std::string>()); }
        }
    }
    std::string text = words.empty() ? body : fmt::format("{}", fmt::join(words, ": "));
    text.resize(std::min(text.size(), text.find(backtrace)));
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) { text.pop_back(); }
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < ' ') { c = ' '; }
    }
    return text.substr(0, max_words);
}

class Exchange {
public:
    Exchange(std::string path, std::string what, Clock::time_point deadline)
        : path_(std::move(path)), what_(std::move(what)), deadline_(deadline) {
        connect_unix(socket_, path_, deadline);
    }

    http::response<http::string_body> perform(http::request<http::string_body> request) {
        request.prepare_payload();
        check(run([&](auto handler) { http::async_write(socket_, request, handler); }));
        http::response_parser<http::string_body> parser;
        parser.body_limit(max_answer);
        beast::flat_buffer buffer;
        check(run([&](auto handler) { http::async_read(socket_, buffer, parser, handler); }));
        return parser.release();
    }

private:
    // One operation, to its end in any case: it writes to buffers of the caller.
    template <typename Start> error_code run(Start start) {
        std::optional<error_code> result;
        start([&result](error_code error, std::size_t /*bytes*/) { result = error; });
        io_.restart();
        io_.run_until(deadline_);
        if (result) { return *result; }
        error_code ignored;
        socket_.close(ignored);
        io_.restart();
        io_.run();
        return asio::error::timed_out;
    }

    void check(const error_code& error) const {
        if (!error) { return; }
        if (error == asio::error::timed_out) {
            throw TimeoutError(fmt::format("{}: no answer in time: {}", path_, what_));
        }
        const bool closed = error == http::error::end_of_stream || error == asio::error::eof ||
                            error == http::error::partial_message || error == asio::error::connection_reset ||
                            error == asio::error::broken_pipe;
        throw Error(closed ? fmt::format("{}: the VMM hung up before it answered {}", path_, what_)
                           : fmt::format("{}: {}: {}", path_, what_, error.message()));
    }

    std::string path_;
    std::string what_;
    Clock::time_point deadline_;
    asio::io_context io_{1};
    asio::local::stream_protocol::socket socket_{io_};
};

} // namespace

nlohmann::json http_request(const std::string& socket, const std::string& method, const std::string& target,
                            const nlohmann::json& body, std::chrono::milliseconds timeout) {
    const std::string what = fmt::format("{} {}", method, target);
    Exchange exchange(socket, what, Clock::now() + timeout);
    http::request<http::string_body> request;
    request.method_string(method);
    request.target(target);
    request.version(11);
    request.set(http::field::host, "localhost");
    request.set(http::field::accept, "application/json");
    if (!body.is_null()) {
        request.set(http::field::content_type, "application/json");
        request.body() = body.dump();
    }
    const http::response<http::string_body> answer = exchange.perform(std::move(request));
    if (http::to_status_class(answer.result()) != http::status_class::successful) {
        const std::string words = words_of(answer.body());
        throw HttpError(fmt::format("the VMM refused {}: {}", what,
                                    words.empty() ? fmt::format("status {}", answer.result_int()) : words),
                        answer.result_int());
    }
    if (answer.body().empty()) { return nullptr; }
    nlohmann::json json = nlohmann::json::parse(answer.body(), nullptr, false);
    if (json.is_discarded()) {
        throw Error(fmt::format("{}: the answer to {} is no JSON: {:.80}", socket, what, answer.body()));
    }
    return json;
}

} // namespace microvmc
