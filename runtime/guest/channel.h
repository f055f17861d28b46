#pragma once

#include "runtime/guest/system.h"
#include "runtime/guest/wire.h"

#include <cstdint>
#include <optional>
#include <string>

namespace microvmc::guest {

/// The agent's way to the host: frames over a device that never blocks. What the device doesn't take at once is queued.
class Channel {
public:
    /// `spec`: "virtio-port:NAME" or "tty:DEVICE". Waits for the device to appear; a host on the other side isn't
    /// needed.
    Failure open(const std::string& spec);

    [[nodiscard]] bool is_open() const { return device_.open(); }
    [[nodiscard]] int fd() const { return device_.get(); }

    /// Queues a frame and writes what the device takes.
    void send(wire::Type type, std::uint32_t stream, std::string_view payload);

    /// Writes what the device takes of the queue.
    void pump();

    /// Whether so much is queued that nobody should add bulk data.
    [[nodiscard]] bool congested() const;

    /// Reads a piece; false when the device has none (or no host) now.
    bool read_piece();

    /// The next whole frame of what was read.
    std::optional<wire::Frame> receive() { return decoder_.next(); }

    /// Milliseconds until `forget_partial` should be called, -1: no need.
    [[nodiscard]] int partial_timeout_ms() const;

    /// Drops a frame that has begun and whose sender has been silent for `wire::frame_gap_ms`.
    void forget_partial();

    /// Waits until the host has taken all that is queued, at most `limit_ms`; a host that isn't there is waited for at
    /// most `absent_ms`.
    void flush(std::int64_t limit_ms, std::int64_t absent_ms);

    /// Closes the device. For a virtio port the kernel returns only after the host has processed what came before
    /// (drivers/char/virtio_console.c, __send_control_msg spins on the control queue).
    void close();

private:
    Fd device_;
    std::string queue_;
    std::size_t sent_ = 0; ///< of the queue's beginning
    wire::Decoder decoder_;
    /// Since when reading found nothing; not while nobody reads.
    std::optional<std::int64_t> silent_since_ms_;
};

} // namespace microvmc::guest
