#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace microvmc::supervisor {

namespace asio = boost::asio;

/// A non-blocking descriptor (socket, pipe, pty) with a queue of what it doesn't take yet. Whoever writes looks at
/// `queued` and holds back; nothing is dropped here. Lives while it is open, by itself.
class Stream : public std::enable_shared_from_this<Stream> {
public:
    /// Owns `fd` from now on, and makes it non-blocking.
    static std::shared_ptr<Stream> make(asio::io_context& io, int fd);
    /// One that an earlier program had, with what it had not written yet.
    static std::shared_ptr<Stream> resume(asio::io_context& io, int fd, std::string unwritten);

    std::function<void(std::string_view)> on_data; ///< some bytes came
    std::function<void()> on_end;                  ///< the peer is gone; called once, not after `close`
    std::function<void()> on_written;              ///< the queue is empty again

    /// Whether bytes are wanted. At most `chunk` bytes are read at a time.
    void read(bool wanted);
    /// Reads all that is there now (2 MiB at most), without waiting, whether or not bytes are wanted.
    void drain();
    void write(std::string_view bytes);
    [[nodiscard]] std::size_t queued() const { return queue_.size() - queue_begin_; }
    [[nodiscard]] std::string_view unwritten() const { return std::string_view(queue_).substr(queue_begin_); }
    [[nodiscard]] bool open() const { return open_; }
    /// -1 when it is closed.
    [[nodiscard]] int descriptor() { return open_ ? fd_.native_handle() : -1; }
    /// Closes once the queue is written.
    void finish();
    void close();

    static constexpr std::size_t chunk = 8192;

private:
    Stream(asio::io_context& io, int fd);
    void arm_read();
    void arm_write();
    void flush();
    bool read_once();
    void end();

    asio::posix::stream_descriptor fd_;
    std::string queue_;
    std::size_t queue_begin_ = 0; ///< what is before was written
    bool open_ = true;
    bool wanted_ = false;
    bool reading_ = false; ///< a wait is under way
    bool writing_ = false;
    bool finishing_ = false;
    bool broken_ = false; ///< nothing can be written any more
};

} // namespace microvmc::supervisor
