#pragma once

#include "runtime/guest/wire.h"
#include "runtime/supervisor/agent.h"
#include "runtime/supervisor/stream.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace microvmc::supervisor {

/// Commands that run in the guest for clients: frames of stream 1 on the client's connection are those of a stream of
/// its own on the agent's. Bounded both ways: the input by the guest's window and by what the agent's channel takes,
/// the output by a window, which is granted again as the client takes it. A guest whose agent knows no window, or
/// exceeds it, is bounded by not reading its channel while a client is slow.
class Execs {
public:
    explicit Execs(AgentLink& agent);

    /// Answers the request and relays from then on. `rest`: what the client sent along with it. Throws Error or
    /// nlohmann::json::exception when it asks for what can't be. `windowed`: the guest's agent knows `grant`.
    void start(const nlohmann::json& request, const std::shared_ptr<Stream>& client, std::string_view rest,
               bool windowed);
    /// A frame of the guest that concerns a command.
    void handle(const wire::Frame& frame);
    /// Tells the guest of commands whose clients went while the agent wasn't connected: nobody would grant them more.
    void close_orphans();
    /// The agent's channel took everything.
    void agent_written();
    /// From now on a slow client doesn't hold up the agent: it is let go.
    void stop_waiting();
    /// Whether any runs.
    [[nodiscard]] bool busy() const { return !running_.empty(); }
    /// The stream of the next one. A guest may not have finished with those before.
    [[nodiscard]] std::uint32_t next_id() const { return next_id_; }
    void set_next_id(std::uint32_t id) { next_id_ = id; }
    /// The guest is gone: so are its commands. The clients get what is queued for them.
    void end_all();

private:
    struct Exec {
        std::uint32_t id = 0;
        std::shared_ptr<Stream> client;
        wire::Decoder decoder;
        std::optional<wire::Frame> held; ///< input that the guest's window has no room for
        std::size_t unconfirmed = 0;
        bool windowed = false;
        std::size_t received = 0; ///< of the window, since the last grant
    };
    using Running = std::map<std::uint32_t, std::shared_ptr<Exec>>;

    void pump(const std::shared_ptr<Exec>& exec);
    bool forward(Exec& exec, wire::Frame& frame);
    void client_gone(std::uint32_t id);
    void grant(Exec& exec);
    void balance();

    AgentLink& agent_;
    Running running_;
    std::vector<std::uint32_t> orphans_;
    std::uint32_t next_id_ = 1;
    bool waiting_ = true;
};

} // namespace microvmc::supervisor
