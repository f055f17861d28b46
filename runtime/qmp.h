#pragma once

#include "runtime/error.h"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// A command that the server refused: its class ("GenericError") and its words.
struct QmpError : Error {
    QmpError(std::string_view server, const std::string& command, std::string class_name,
             const std::string& description);
    std::string error_class;
};

/// A connection to a QMP server; qemu: docs/interop/qmp-spec.txt. Every wait is bounded: TimeoutError. What isn't QMP
/// is an Error, and the connection is of no more use.
class Qmp {
public:
    /// Connects, retrying until the socket is there and listens, reads the greeting and leaves negotiation mode, all
    /// within `timeout`. `server`: its name, for messages.
    Qmp(const std::string& socket, std::chrono::milliseconds timeout, std::string_view server = "QEMU");
    ~Qmp();
    Qmp(const Qmp&) = delete;
    Qmp& operator=(const Qmp&) = delete;

    /// What the command returned. Events that come meanwhile are kept. Throws QmpError when it was refused.
    nlohmann::json execute(const std::string& command, const nlohmann::json& arguments,
                           std::chrono::milliseconds timeout);
    nlohmann::json execute(const std::string& command, std::chrono::milliseconds timeout);
    /// Hands a descriptor of ours to the server, under a name by which later commands of this connection can use it
    /// ("fd:NAME"); qemu: qapi/misc.json, getfd. It stays open here.
    void hand_over(int fd, const std::string& name, std::chrono::milliseconds timeout);

    /// Returns when the server has hung up, as it does when it ends.
    void wait_closed(std::chrono::milliseconds timeout);

    /// The version in the greeting, "7.2.22".
    [[nodiscard]] const std::string& version() const;
    /// The events since the last call, oldest first; the newest 1024 of them.
    std::vector<nlohmann::json> take_events();

private:
    struct Connection;
    std::unique_ptr<Connection> connection_;
};

} // namespace microvmc
