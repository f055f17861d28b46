#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// What a step asks over the network, from this host. Nothing here takes longer than its time.

namespace microvmc::testkit {

struct NetAnswer {
    std::optional<int> status; ///< http: its status; tcp: 0 when it connected. Nothing: no answer
    std::string bytes;         ///< the body; what was said until the other side closed
    std::string problem;       ///< without a status: "connection refused"
    bool timed_out = false;
};

/// "http://HOST[:PORT][/PATH]". Throws Error when it is none.
struct Url {
    std::string host; ///< without brackets
    std::string port;
    std::string target; ///< "/path?query"
};
Url parse_url(std::string_view text);

/// GET. A redirection is an answer like any other. More than `limit` bytes are a problem.
NetAnswer http_get(const Url& url, std::chrono::milliseconds timeout, std::size_t limit);

/// Connects to "ADDRESS:PORT" ("[V6]:PORT"), sends `text` and reads until the other side closes, or `timeout`: what
/// came until then is the answer of one that doesn't close. Throws Error when the address is none.
NetAnswer tcp_read(std::string_view address, std::string_view text, std::chrono::milliseconds timeout,
                   std::size_t limit);

/// Sends `text` there in a datagram, and waits for one that comes back. Throws Error when the address is none.
NetAnswer udp_ask(std::string_view address, std::string_view text, std::chrono::milliseconds timeout);

} // namespace microvmc::testkit
