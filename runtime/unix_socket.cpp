#include "runtime/unix_socket.h"

#include "runtime/error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <thread>

namespace microvmc {

using local = boost::asio::local::stream_protocol;
using Clock = std::chrono::steady_clock;

namespace {

// A VMM takes some 20 ms to its first answer, so that this is the error of what `apply` waits.
constexpr std::chrono::milliseconds retry_interval{1};

local::endpoint endpoint_of(const std::string& path) {
    try {
        return local::endpoint(path);
    } catch (const boost::system::system_error&) {
        throw Error(fmt::format("{} is too long for the path of a socket (107 bytes at most)", path),
                    "set MICROVMC_RUNTIME_DIR to a shorter directory");
    }
}

} // namespace

// Not through Asio: a connect that blocks would wait for ever while the server's queue is full, and Asio takes EAGAIN,
// by which a Unix socket says that, for one under way (unix(7)).
void connect_unix(local::socket& socket, const std::string& path, Clock::time_point deadline) {
    const local::endpoint endpoint = endpoint_of(path);
    for (;;) {
        socket.open();
        socket.native_non_blocking(true);
        // Asio doesn't; a server would wait for ever for the end of a client whose child has the socket, too.
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        if (::connect(socket.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0) {
            return;
        }
        const int error = errno;
        socket.close();
        // Not there yet; there and not listening yet; its queue full.
        if (error != ENOENT && error != ECONNREFUSED && error != EAGAIN && error != EINTR) {
            throw Error(fmt::format("can't connect to {}: {}", path, std::strerror(error)));
        }
        if (Clock::now() >= deadline) {
            throw TimeoutError(fmt::format("nothing answers on {}: {}", path, std::strerror(error)));
        }
        std::this_thread::sleep_for(retry_interval);
    }
}

} // namespace microvmc
