#pragma once

#include "runtime/fd.h"
#include "runtime/guest/wire.h"
#include "runtime/launch.h"
#include "runtime/supervisor/handover.h"
#include "runtime/supervisor/stream.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace microvmc::supervisor {

/// The connection to the guest's agent, by whichever channel it has. What comes from there is not trusted: what isn't a
/// frame is skipped, and a channel of nothing but rubbish is left alone for a while.
class AgentLink {
public:
    AgentLink(asio::io_context& io, AgentChannel channel);

    std::function<void(const wire::Frame&)> on_frame;
    std::function<void()> on_connected;
    std::function<void()> on_written; ///< all that was sent is on its way
    std::function<void()> on_lost;    ///< the VMM closed it; connecting again

    /// Before the VMM starts: listens where the VMM is to connect, if it is. Throws Error.
    void prepare();
    /// Connects, again and again until the VMM and, on vsock, its guest listen; then asks the agent for its hello.
    void start(pid_t vmm);
    /// Goes on with the connection that an earlier program had, or connects.
    void resume(const AgentHandover& handover, pid_t vmm);
    [[nodiscard]] AgentHandover hand_over() const;
    /// Disconnects.
    void stop();
    void send(wire::Type type, std::uint32_t stream, std::string_view payload);
    [[nodiscard]] std::size_t queued() const { return stream_ ? stream_->queued() : 0; }
    /// Whether frames are wanted.
    void read(bool wanted);
    /// Takes in all that has come.
    void drain();
    [[nodiscard]] bool connected() const { return stream_ != nullptr && !asking_; }

private:
    [[nodiscard]] int open_channel() const;
    void connect();
    void ask_for_port();
    void open_stream();
    void greet();
    void retry(std::chrono::milliseconds after);
    void await_rest();
    void answered(std::string_view bytes);
    void received(std::string_view bytes);
    void lost(std::chrono::milliseconds retry_after);

    asio::io_context& io_;
    AgentChannel channel_;
    Fd listener_; ///< served
    pid_t vmm_ = 0;
    asio::steady_timer retry_;
    asio::steady_timer gap_; ///< of silence within a frame, or before an answer
    std::shared_ptr<Stream> stream_;
    wire::Decoder decoder_;
    std::size_t skipped_before_ = 0; ///< when the last frame came
    std::string answer_;             ///< what came of it
    int tries_ = 0;
    bool asking_ = false; ///< for the guest's port; nothing else may be said before the answer
    bool wanted_ = true;
    bool started_ = false;
};

} // namespace microvmc::supervisor
