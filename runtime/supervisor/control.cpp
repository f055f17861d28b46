#include "runtime/supervisor/control.h"

#include "runtime/error.h"
#include "runtime/supervisor/protocol.h"
#include "runtime/supervisor/sockets.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <sys/socket.h>
#include <unistd.h>

namespace microvmc::supervisor {

namespace {
constexpr std::size_t max_clients = 64;
constexpr auto request_time = std::chrono::seconds(10);
} // namespace

void answer(const std::shared_ptr<Stream>& client, const nlohmann::json& json) {
    // Text of a guest may be in it, which need not be UTF-8.
    client->write(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    client->read(false);
    client->finish();
}

nlohmann::json error_answer(const std::string& what) {
    return {{"error", what}};
}

struct ControlServer::Pending {
    explicit Pending(asio::io_context& io) : timer(io) {}
    std::shared_ptr<Stream> client;
    std::string text;
    asio::steady_timer timer;
};

ControlServer::ControlServer(asio::io_context& io, std::string path) : ControlServer(io, path, listen_unix(path)) {}

ControlServer::ControlServer(asio::io_context& io, std::string path, int listener)
    : io_(io), path_(std::move(path)), listener_(io, listener), pause_(io) {
    arm();
}

void ControlServer::arm() {
    listener_.async_wait(asio::posix::descriptor_base::wait_read, [this](boost::system::error_code error) {
        if (error || !listener_.is_open()) { return; }
        accept();
    });
}

void ControlServer::accept() {
    const int fd = ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        pause_.expires_after(std::chrono::milliseconds(100)); // out of descriptors: no busy loop
        pause_.async_wait([this](boost::system::error_code error) {
            if (!error) { arm(); }
        });
        return;
    }
    arm();
    if (fd < 0) { return; }
    const auto client = Stream::make(io_, fd);
    clients_.remove_if([](const auto& other) { return !other->open(); });
    if (clients_.size() >= max_clients) {
        answer(client, error_answer("too many connections to this machine's supervisor"));
        return;
    }
    clients_.push_back(client);
    const auto pending = std::make_shared<Pending>(io_);
    pending->client = client;
    client->on_data = [this, pending](std::string_view bytes) { received(pending, bytes); };
    pending->timer.expires_after(request_time);
    pending->timer.async_wait([client](boost::system::error_code error) {
        if (!error) { client->close(); }
    });
    client->read(true);
}

void ControlServer::received(const std::shared_ptr<Pending>& pending, std::string_view bytes) {
    pending->text.append(bytes);
    const auto client = pending->client;
    const std::size_t end = pending->text.find('\n');
    if (end == std::string::npos && pending->text.size() <= max_request) { return; }
    pending->timer.cancel();
    client->read(false);
    if (end == std::string::npos || end > max_request) {
        answer(client, error_answer("the request is longer than " + std::to_string(max_request) + " bytes"));
        return;
    }
    const auto request = nlohmann::json::parse(
        pending->text.begin(), pending->text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    const std::string rest = pending->text.substr(end + 1);
    try {
        if (!request.is_object() || !request.contains("op") || !request["op"].is_string()) {
            throw Error("a request is a JSON object with \"op\"");
        }
        // Once more: the callee may set its own, which must not be called by the one that runs now.
        asio::post(io_, [this, client, request, rest] {
            if (!client->open() || !on_request) { return; }
            try {
                on_request(request, client, rest);
            } catch (const Error& error) {
                answer(client, error_answer(error.what()));
            } catch (const nlohmann::json::exception& error) { answer(client, error_answer(error.what())); }
        });
    } catch (const Error& error) { answer(client, error_answer(error.what())); }
}

void ControlServer::stop() {
    if (!listener_.is_open()) { return; }
    boost::system::error_code ignored;
    listener_.close(ignored);
    pause_.cancel();
    ::unlink(path_.c_str());
}

bool ControlServer::busy(const std::shared_ptr<Stream>& except) {
    clients_.remove_if([](const auto& client) { return !client->open(); });
    return std::ranges::any_of(clients_, [&except](const auto& client) { return client != except; });
}

std::shared_ptr<Stream> ControlServer::adopt(int fd) {
    return clients_.emplace_back(Stream::make(io_, fd));
}

} // namespace microvmc::supervisor
