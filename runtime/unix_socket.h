#pragma once

#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <string>

namespace microvmc {

/// Connects to a server's Unix socket, retrying until it is there and listens; the socket doesn't block from then on.
/// Throws Error when the path is no socket's or can't be, TimeoutError when the time is up.
void connect_unix(boost::asio::local::stream_protocol::socket& socket, const std::string& path,
                  std::chrono::steady_clock::time_point deadline);

} // namespace microvmc
