#pragma once

#include "runtime/fd.h"
#include "runtime/guest/wire.h"
#include "runtime/machine.h"
#include "runtime/machine_relay.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace microvmc::machine {

/// A command that runs in a guest, as its supervisor relays it (supervisor/protocol.h, `exec`). Whoever waits polls
/// `fd()` for reading and `outgoing()` for writing. The guest hangs the command up when this is destroyed before the
/// command has ended.
class GuestCommand {
public:
    using Take = std::function<void(std::string_view)>;

    /// Starts it. `tty`: {"rows":R,"columns":C} or null. Throws Error when no machine runs or its agent is not up.
    GuestCommand(const std::string& runtime_dir, const ExecRequest& request, const nlohmann::json& tty, Take output,
                 Take error);
    GuestCommand(const GuestCommand&) = delete;
    GuestCommand& operator=(const GuestCommand&) = delete;

    [[nodiscard]] int fd() const { return connection_.get(); }
    [[nodiscard]] Outlet& outgoing() { return to_guest_; }

    /// False: the command has ended, or the machine.
    [[nodiscard]] bool open() const { return open_; }
    /// Of a command that has ended.
    [[nodiscard]] std::optional<int> status() const { return status_; }

    /// Whether a piece of `piece_size` bytes of input may be sent now.
    [[nodiscard]] bool takes_input() const;
    /// Bytes for its standard input; none: their end.
    void send_input(std::string_view bytes);
    void send(wire::Type type, std::string_view payload);
    /// Takes what the guest said.
    void receive();

    static constexpr std::size_t piece_size = 16'384;

private:
    void take(std::string_view bytes);
    void take(const wire::Frame& frame);

    Fd connection_;
    Take output_;
    Take error_;
    Outlet to_guest_;
    wire::Decoder decoder_;
    std::size_t unconfirmed_ = 0;
    bool open_ = true;
    std::optional<int> status_;
    std::array<char, piece_size> buffer_{};
};

} // namespace microvmc::machine
