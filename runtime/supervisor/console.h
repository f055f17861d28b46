#pragma once

#include "runtime/fd.h"
#include "runtime/supervisor/handover.h"
#include "runtime/supervisor/log_file.h"
#include "runtime/supervisor/stream.h"
#include "runtime/supervisor/text.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace microvmc::supervisor {

/// The machine's console: a pty whose other end is the VMM's standard input and output. Everything it says goes to the
/// log and to the clients; what clients type goes to it.
class Console {
public:
    /// `ready_text`: watched for when not empty; `piece`: Launch::console_piece. Throws Error when there is no pty or
    /// the log can't be opened.
    Console(asio::io_context& io, const std::string& log, std::string ready_text, std::size_t piece);
    /// One that an earlier program had. Throws Error when the log can't be opened.
    Console(asio::io_context& io, const std::string& log, std::string ready_text, std::size_t piece,
            const ConsoleHandover& handover);

    std::function<void()> on_ready_text;
    std::function<void(const std::string&)> on_panic; ///< the kernel's line; once until `reset`
    std::function<void()> on_halt;                    ///< the kernel says that it is over

    [[nodiscard]] int slave() const { return slave_.get(); }
    /// A client from now on. `typed`: what it sent along with its request.
    void attach(const std::shared_ptr<Stream>& client, bool history, std::string_view typed);
    /// Takes in all that the VMM has written.
    void drain();
    /// The panic was none: watch for the next one.
    void watch_for_panic();
    /// A new boot: what was typed for the last one and what was watched for is forgotten.
    void reset();
    [[nodiscard]] ConsoleHandover hand_over() const;
    /// Whether a client is attached.
    [[nodiscard]] bool busy() const;
    /// No more output: the clients get the rest of theirs, and the end.
    void finish();

private:
    struct Client {
        std::shared_ptr<Stream> stream;
        std::size_t skipped = 0; ///< bytes that it was too slow for so far
    };
    void open_streams();
    void output(std::string_view bytes);
    static void send(Client& client, std::string_view bytes);
    void catch_up();
    void typed(std::string_view bytes);
    void type_on();
    void begin_gap();
    void hold_back();
    void watch(std::string_view bytes);

    Fd slave_; ///< kept open: without it the master would see a hang-up between boots
    std::shared_ptr<Stream> master_;
    LogFile log_;
    std::list<Client> clients_;
    Tail history_;
    TextWatch panic_;
    TextWatch halt_{"reboot: System halted"}; ///< linux: kernel/reboot.c, kernel_halt
    TextWatch ready_;
    bool panicking_ = false; ///< the line was seen, its end not yet
    bool panicked_ = false;
    std::size_t piece_;
    asio::steady_timer gap_; ///< between two pieces
    bool in_gap_ = false;
    std::string waiting_; ///< was typed, and is not in the pty yet
    bool full_ = false;   ///< clients' input waits until the VMM reads
};

} // namespace microvmc::supervisor
