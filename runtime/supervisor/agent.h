#pragma once

#include "runtime/guest/wire.h"
#include "runtime/supervisor/handover.h"
#include "runtime/supervisor/stream.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>

namespace microvmc::supervisor {

/// The connection to the guest's agent. What comes from there is not trusted: what isn't a frame is skipped, and a
/// channel of nothing but rubbish is left alone for a while.
class AgentLink {
public:
    AgentLink(asio::io_context& io, std::string socket);

    std::function<void(const wire::Frame&)> on_frame;
    std::function<void()> on_connected;
    std::function<void()> on_written; ///< all that was sent is on its way
    std::function<void()> on_lost;    ///< the VMM closed it; connecting again

    /// Connects, again and again until the VMM listens; then asks the agent for its hello.
    void start();
    /// Goes on with the connection that an earlier program had, or connects.
    void resume(const AgentHandover& handover);
    [[nodiscard]] AgentHandover hand_over() const;
    /// Disconnects.
    void stop();
    void send(wire::Type type, std::uint32_t stream, std::string_view payload);
    [[nodiscard]] std::size_t queued() const { return stream_ ? stream_->queued() : 0; }
    /// Whether frames are wanted.
    void read(bool wanted);
    /// Takes in all that has come.
    void drain();
    [[nodiscard]] bool connected() const { return stream_ != nullptr; }

private:
    void connect();
    void open_stream();
    void retry(std::chrono::milliseconds after);
    void await_rest();
    void received(std::string_view bytes);
    void lost(std::chrono::milliseconds retry_after);

    asio::io_context& io_;
    std::string socket_;
    asio::steady_timer retry_;
    asio::steady_timer gap_; ///< of silence within a frame
    std::shared_ptr<Stream> stream_;
    wire::Decoder decoder_;
    std::size_t skipped_before_ = 0; ///< when the last frame came
    int tries_ = 0;
    bool wanted_ = true;
    bool started_ = false;
};

} // namespace microvmc::supervisor
