#pragma once

#include "runtime/error.h"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <string>

namespace microvmc {

/// A request that the server refused: its status, and its words in what().
struct HttpError : Error {
    HttpError(const std::string& what, unsigned http_status) : Error(what), status(http_status) {}
    unsigned status;
};

/// One HTTP/1.1 request over a connection of its own to a server on a Unix socket, as VMMs have it for their control:
/// `method` "GET", "PUT" or "PATCH"; `body` null: none. Returns the answer's JSON, null when it has none. All of it is
/// bounded by `timeout`: TimeoutError. Throws HttpError for an answer that isn't of the 2xx, Error when there is none
/// or what comes isn't HTTP.
nlohmann::json http_request(const std::string& socket, const std::string& method, const std::string& target,
                            const nlohmann::json& body, std::chrono::milliseconds timeout);

} // namespace microvmc
