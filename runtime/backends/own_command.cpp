#include "runtime/backends/own_command.h"

#include "runtime/error.h"
#include "runtime/process.h"
#include "runtime/unix_socket.h"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc {

std::string OwnCommand::text() const {
    return nlohmann::json{program, place}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

OwnCommand OwnCommand::of(std::string_view text) {
    const nlohmann::json both = nlohmann::json::parse(text, nullptr, false);
    if (!both.is_array() || both.size() != 2 || !both[0].is_string() || !both[1].is_string()) {
        throw Error(fmt::format("this is no place of a machine that is asked by a command: {}", text));
    }
    return {both[0].get<std::string>(), both[1].get<std::string>()};
}

std::string run_own_command(std::string_view title, const std::vector<std::string>& argv,
                            std::chrono::milliseconds timeout, const std::function<void()>& meanwhile) {
    RunOptions options;
    options.timeout = timeout;
    options.meanwhile = meanwhile;
    const Ran ran = run_program(argv, options);
    if (ran.timed_out) {
        throw TimeoutError(fmt::format("{} did not answer within {}s", title, timeout.count() / 1000));
    }
    if (ran.status != 0) { throw Error(fmt::format("{} refused: {}", title, last_words(ran))); }
    return ran.out;
}

void await_listening(const std::string& socket, std::chrono::milliseconds timeout) {
    boost::asio::io_context io{1};
    boost::asio::local::stream_protocol::socket connection(io);
    connect_unix(connection, socket, std::chrono::steady_clock::now() + timeout);
}

} // namespace microvmc
