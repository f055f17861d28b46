#include "runtime/qmp.h"

#include "runtime/unix_socket.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/socket.h>
#include <thread>
#include <utility>

namespace microvmc {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using boost::system::error_code;
using local = asio::local::stream_protocol;
using std::chrono::milliseconds;

namespace {

// QEMU's longest answers (query-qmp-schema) have some hundred KiB.
constexpr std::size_t max_line = std::size_t{16} << 20U;
constexpr std::size_t max_events = 1024;

} // namespace

QmpError::QmpError(std::string_view server, const std::string& command, std::string class_name,
                   const std::string& description)
    : Error(fmt::format("{} refused {}: {}", server, command, description)), error_class(std::move(class_name)) {}

struct Qmp::Connection {
    std::string path;
    std::string server;
    asio::io_context io{1};
    local::socket socket{io};
    std::string received;
    std::string version;
    std::vector<nlohmann::json> events;
    std::uint64_t last_id = 0;

    // Runs what was begun until `result` has its outcome. The operation is over in any case when this returns, since it
    // writes to `result` and to buffers of the caller.
    void finish(const std::optional<error_code>& result, Clock::time_point deadline, std::string_view what) {
        io.restart();
        io.run_until(deadline);
        if (result) { return; }
        error_code ignored;
        socket.close(ignored);
        io.restart();
        io.run();
        throw TimeoutError(fmt::format("{}: no answer in time: {}", path, what));
    }

    // False: end of file.
    bool read_line(std::string& line, Clock::time_point deadline, std::string_view what) {
        std::optional<error_code> result;
        std::size_t length = 0;
        asio::async_read_until(socket, asio::dynamic_buffer(received, max_line), '\n',
                               [&result, &length](const error_code& error, std::size_t bytes) {
                                   result = error;
                                   length = bytes;
                               });
        finish(result, deadline, what);
        if (*result == asio::error::not_found) {
            throw Error(fmt::format("{}: a line of more than {} bytes", path, max_line));
        }
        if (*result == asio::error::eof || *result == asio::error::connection_reset) { return false; }
        if (*result) { throw Error(fmt::format("can't read from {}: {}", path, result->message())); }
        line = received.substr(0, length);
        received.erase(0, length);
        return true;
    }

    // The next message that isn't an event; nothing at the end of file.
    std::optional<nlohmann::json> read(Clock::time_point deadline, std::string_view what) {
        std::string line;
        while (read_line(line, deadline, what)) {
            nlohmann::json message = nlohmann::json::parse(line, nullptr, false);
            if (!message.is_object()) { throw Error(fmt::format("{}: this is not QMP: {:.80}", path, line)); }
            if (!message.contains("event")) { return message; }
            if (events.size() == max_events) { events.erase(events.begin()); }
            events.push_back(std::move(message));
        }
        return std::nullopt;
    }

    // Writes the first byte of `line` with a descriptor beside it (unix(7), SCM_RIGHTS); 1, or 0 and `result` when it
    // can't be.
    std::size_t send_with(int fd, const std::string& line, std::optional<error_code>& result) {
        iovec first{const_cast<char*>(line.data()), 1};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
        msghdr message{};
        message.msg_iov = &first;
        message.msg_iovlen = 1;
        message.msg_control = space.data();
        message.msg_controllen = space.size();
        cmsghdr* const header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &fd, sizeof(int));
        if (::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL) == 1) { return 1; }
        result = error_code(errno, boost::system::system_category());
        return 0;
    }

    // `fd`: goes with the command; -1: none.
    nlohmann::json execute(const std::string& command, const nlohmann::json& arguments, Clock::time_point deadline,
                           int fd = -1) {
        nlohmann::json request{{"execute", command}, {"id", std::to_string(++last_id)}}; // StratoVirt takes texts only
        if (!arguments.is_null()) { request["arguments"] = arguments; }
        const std::string line = request.dump() + '\n';
        std::optional<error_code> result;
        const std::size_t sent = fd < 0 ? 0 : send_with(fd, line, result);
        if (!result) {
            asio::async_write(socket, asio::buffer(line) + sent,
                              [&result](const error_code& error, std::size_t /*bytes*/) { result = error; });
            finish(result, deadline, command);
        }
        if (*result) { throw Error(fmt::format("{}: the VMM hung up: {}", path, result->message())); }
        for (;;) {
            std::optional<nlohmann::json> message = read(deadline, command);
            if (!message) { throw Error(fmt::format("{}: the VMM hung up before it answered {}", path, command)); }
            // An answer to what a caller gave up waiting for; one without an id is to what could not be parsed.
            if (message->contains("id") && message->at("id") != request["id"]) { continue; }
            if (message->contains("return")) { return std::move((*message)["return"]); }
            throw refusal(command, *message);
        }
    }

    [[nodiscard]] QmpError refusal(const std::string& command, const nlohmann::json& message) const {
        const auto text = [&message](const char* key) {
            const auto error = message.find("error");
            if (error == message.end() || !error->is_object()) { return std::string(); }
            const auto found = error->find(key);
            return found != error->end() && found->is_string() ? found->get<std::string>() : std::string();
        };
        const std::string description = text("desc");
        return {server, command, text("class"), description.empty() ? message.dump().substr(0, 200) : description};
    }

    void negotiate(Clock::time_point deadline) {
        const std::optional<nlohmann::json> greeting = read(deadline, "the greeting");
        if (!greeting) { throw Error(fmt::format("{}: the VMM hung up before its greeting", path)); }
        try {
            const nlohmann::json& numbers = greeting->at("QMP").at("version").at("qemu");
            version = fmt::format("{}.{}.{}", numbers.at("major").get<int>(), numbers.at("minor").get<int>(),
                                  numbers.at("micro").get<int>());
        } catch (const nlohmann::json::exception&) {
            throw Error(fmt::format("{}: this is not QMP's greeting: {:.80}", path, greeting->dump()));
        }
        execute("qmp_capabilities", nullptr, deadline);
    }
};

Qmp::Qmp(const std::string& socket, milliseconds timeout, std::string_view server)
    : connection_(std::make_unique<Connection>()) {
    const Clock::time_point deadline = Clock::now() + timeout;
    connection_->path = socket;
    connection_->server = server;
    connect_unix(connection_->socket, socket, deadline);
    connection_->negotiate(deadline);
}

Qmp::~Qmp() = default;

nlohmann::json Qmp::execute(const std::string& command, const nlohmann::json& arguments, milliseconds timeout) {
    return connection_->execute(command, arguments, Clock::now() + timeout);
}

nlohmann::json Qmp::execute(const std::string& command, milliseconds timeout) {
    return execute(command, nullptr, timeout);
}

void Qmp::hand_over(int fd, const std::string& name, milliseconds timeout) {
    connection_->execute("getfd", {{"fdname", name}}, Clock::now() + timeout, fd);
}

void Qmp::wait_closed(milliseconds timeout) {
    const Clock::time_point deadline = Clock::now() + timeout;
    while (connection_->read(deadline, "its end")) {}
}

const std::string& Qmp::version() const {
    return connection_->version;
}

std::vector<nlohmann::json> Qmp::take_events() {
    return std::exchange(connection_->events, {});
}

} // namespace microvmc
