#pragma once

#include "runtime/supervisor/stream.h"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

#include <functional>
#include <list>
#include <memory>
#include <string>

namespace microvmc::supervisor {

/// Writes an answer and closes the connection once it is on its way.
void answer(const std::shared_ptr<Stream>& client, const nlohmann::json& json);
nlohmann::json error_answer(const std::string& what);

/// The control socket: takes connections and reads their requests. Bounded: in number, in bytes and in time.
class ControlServer {
public:
    /// Throws Error.
    ControlServer(asio::io_context& io, std::string path);
    /// With the socket that an earlier program listened on.
    ControlServer(asio::io_context& io, std::string path, int listener);

    /// A request (a JSON object with a string "op") and what came after its line. The connection is the callee's from
    /// now on. What it throws is answered.
    std::function<void(const nlohmann::json&, const std::shared_ptr<Stream>&, std::string_view)> on_request;

    /// Removes the socket; connections stay.
    void stop();
    /// Whether a connection is open, other than `except`.
    [[nodiscard]] bool busy(const std::shared_ptr<Stream>& except = nullptr);
    [[nodiscard]] int descriptor() { return listener_.native_handle(); }
    /// Takes over a connection that an earlier program accepted.
    std::shared_ptr<Stream> adopt(int fd);

private:
    struct Pending;
    void arm();
    void accept();
    void received(const std::shared_ptr<Pending>& pending, std::string_view bytes);

    asio::io_context& io_;
    std::string path_;
    asio::posix::stream_descriptor listener_;
    asio::steady_timer pause_;
    std::list<std::shared_ptr<Stream>> clients_;
};

} // namespace microvmc::supervisor
