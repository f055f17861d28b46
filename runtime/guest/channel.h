#pragma once

#include "runtime/guest/system.h"
#include "runtime/guest/wire.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace microvmc::guest {

/// The agent's way to the host: frames over a device that never blocks. What the device doesn't take at once is queued.
/// On vsock the host connects, at any time and again: the one that came last is spoken to, and what was for one that
/// left is dropped. Or, where that can't be told from a guest that isn't there yet ("vsock-host"), the guest does, once.
class Channel {
public:
    /// `spec`: "virtio-port:NAME", "tty:DEVICE", "vsock:PORT" or "vsock-host:PORT". Waits for the device to appear; a host on the other
    /// side isn't needed.
    Failure open(const std::string& spec);
    /// Speaks to who connects to a listening socket, which must not block.
    void serve(Fd listener) { listener_ = std::move(listener); }

    [[nodiscard]] bool is_open() const { return device_.open() || listener_.open(); }
    /// -1: there is no host that has connected.
    [[nodiscard]] int fd() const { return device_.get(); }
    /// Where hosts connect; -1: there is another kind of device.
    [[nodiscard]] int listener() const { return listener_.get(); }
    /// Takes the hosts that connect now.
    void take_hosts();
    /// How many there were: `fd` is another one's when this has changed.
    [[nodiscard]] unsigned hosts() const { return hosts_; }

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
    /// (drivers/char/virtio_console.c, __send_control_msg spins on the control queue). On vsock it returns when the
    /// host has taken all, a second later at most (SO_LINGER; net/vmw_vsock/virtio_transport_common.c).
    void close();

private:
    void lose_host();

    Fd device_;
    Fd listener_;
    unsigned hosts_ = 0;
    std::string queue_;
    std::size_t sent_ = 0; ///< of the queue's beginning
    wire::Decoder decoder_;
    /// Since when reading found nothing; not while nobody reads.
    std::optional<std::int64_t> silent_since_ms_;
};

} // namespace microvmc::guest
