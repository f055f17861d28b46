#include "runtime/supervisor/stream.h"

#include <boost/asio/post.hpp>

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

namespace microvmc::supervisor {

std::shared_ptr<Stream> Stream::make(asio::io_context& io, int fd) {
    return std::shared_ptr<Stream>(new Stream(io, fd));
}

std::shared_ptr<Stream> Stream::resume(asio::io_context& io, int fd, std::string unwritten) {
    auto stream = make(io, fd);
    stream->queue_ = std::move(unwritten);
    if (stream->queued() > 0) { stream->arm_write(); }
    return stream;
}

Stream::Stream(asio::io_context& io, int fd) : fd_(io, fd) {
    fd_.native_non_blocking(true);
}

void Stream::read(bool wanted) {
    wanted_ = wanted;
    arm_read();
}

void Stream::arm_read() {
    if (!open_ || !wanted_ || reading_) { return; }
    reading_ = true;
    fd_.async_wait(asio::posix::descriptor_base::wait_read,
                   [self = shared_from_this()](boost::system::error_code error) {
                       self->reading_ = false;
                       if (error || !self->open_ || !self->wanted_) { return; }
                       self->read_once();
                       self->arm_read();
                   });
}

// Whether there may be more.
bool Stream::read_once() {
    std::array<char, chunk> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): filled by read
    ssize_t count = 0;
    do { count = ::read(fd_.native_handle(), buffer.data(), buffer.size()); } while (count < 0 && errno == EINTR);
    if (count > 0) {
        if (on_data) { on_data({buffer.data(), static_cast<std::size_t>(count)}); }
        return open_;
    }
    if (count < 0 && errno == EAGAIN) { return false; }
    end();
    return false;
}

void Stream::drain() {
    const auto self = shared_from_this();
    // More than any pipe, pty or socket holds: whoever writes without end doesn't keep us here.
    constexpr int reads = 256;
    for (int i = 0; i < reads && open_ && read_once(); ++i) {}
}

void Stream::write(std::string_view bytes) {
    if (!open_ || finishing_ || broken_) { return; }
    queue_.append(bytes);
    if (!writing_) { flush(); }
}

void Stream::flush() {
    const auto self = shared_from_this();
    while (open_ && queued() > 0) {
        // A peer that is gone must not raise SIGPIPE: it is ignored process-wide (main.cpp).
        const ssize_t count = ::write(fd_.native_handle(), queue_.data() + queue_begin_, queued());
        if (count < 0 && errno == EINTR) { continue; }
        if (count < 0 && errno == EAGAIN) {
            if (queue_begin_ >= std::size_t{64} * 1024) {
                queue_.erase(0, queue_begin_);
                queue_begin_ = 0;
            }
            arm_write();
            return;
        }
        if (count < 0) {
            // The peer is gone, but what it said before is still to be read.
            broken_ = true;
            drain();
            end();
            return;
        }
        queue_begin_ += static_cast<std::size_t>(count);
    }
    if (queue_.capacity() > chunk) {
        std::string().swap(queue_);
    } else {
        queue_.clear();
    }
    queue_begin_ = 0;
    if (!open_) { return; }
    if (finishing_) {
        close();
    } else if (on_written) {
        on_written();
    }
}

void Stream::arm_write() {
    if (!open_ || writing_) { return; }
    writing_ = true;
    fd_.async_wait(asio::posix::descriptor_base::wait_write,
                   [self = shared_from_this()](boost::system::error_code error) {
                       self->writing_ = false;
                       if (!error && self->open_) { self->flush(); }
                   });
}

void Stream::finish() {
    finishing_ = true;
    if (queued() == 0) { close(); }
}

void Stream::end() {
    if (!open_) { return; }
    const auto self = shared_from_this();
    const auto callback = on_end;
    close();
    if (callback) { callback(); }
}

void Stream::close() {
    if (!open_) { return; }
    open_ = false;
    boost::system::error_code ignored;
    fd_.close(ignored);
    // They may be running now and may own what owns this.
    asio::post(fd_.get_executor(), [self = shared_from_this()] {
        self->on_data = nullptr;
        self->on_end = nullptr;
        self->on_written = nullptr;
    });
}

} // namespace microvmc::supervisor
