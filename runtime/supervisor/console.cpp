#include "runtime/supervisor/console.h"

#include "runtime/error.h"
#include "runtime/supervisor/protocol.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <utility>

namespace microvmc::supervisor {

namespace {

constexpr std::uint64_t log_limit = std::uint64_t{16} << 20U;
constexpr std::size_t client_queue = std::size_t{256} * 1024; ///< above this a client must catch up
constexpr std::size_t input_queue = std::size_t{64} * 1024;   ///< above this clients' input is not read
constexpr std::chrono::milliseconds piece_time{10}; ///< in which a guest takes a piece, also one that is interpreted
constexpr std::string_view panic_text = "Kernel panic - not syncing"; // kernel/panic.c

// No echo, no line editing, no translation either way: the guest's own terminal does all that. ONLCR goes as well
// (cfmakeraw leaves it), because QEMU switches OPOST on again.
void make_raw(int fd) {
    termios settings{};
    if (::tcgetattr(fd, &settings) != 0) { return; }
    ::cfmakeraw(&settings);
    settings.c_oflag = 0;
    ::tcsetattr(fd, TCSANOW, &settings);
    const winsize size{24, 80, 0, 0};
    ::ioctl(fd, TIOCSWINSZ, &size);
}

std::string_view recent(std::string_view text, std::size_t size) {
    return text.substr(text.size() - std::min(text.size(), size));
}

Fd open_master() {
    Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    int unlock = 0;
    if (!master || ::ioctl(master.get(), TIOCSPTLCK, &unlock) != 0) {
        throw Error(std::string("can't make a pty: ") + std::strerror(errno));
    }
    return master;
}

Fd open_slave(int master) {
    Fd slave(::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)); // Linux 4.13; needs no /dev/pts here
    if (!slave) { throw Error(std::string("can't open the pty's other end: ") + std::strerror(errno)); }
    make_raw(slave.get());
    return slave;
}

} // namespace

Console::Console(asio::io_context& io, const std::string& log, std::string ready_text, std::size_t piece)
    : log_(log, log_limit, LogFile::Stamps::beside), history_(console_history), panic_(std::string(panic_text)),
      ready_(std::move(ready_text)), piece_(piece), gap_(io) {
    Fd master = open_master();
    slave_ = open_slave(master.get());
    master_ = Stream::make(io, master.release());
    open_streams();
}

Console::Console(asio::io_context& io, const std::string& log, std::string ready_text, std::size_t piece,
                 const ConsoleHandover& handover)
    : slave_(handover.slave), master_(Stream::make(io, handover.master)), log_(log, log_limit, LogFile::Stamps::beside),
      history_(console_history), panic_(std::string(panic_text)), ready_(std::move(ready_text)),
      panicking_(handover.panicking), panicked_(handover.panicked), piece_(piece), gap_(io) {
    history_.feed(handover.history.bytes);
    panic_.feed(handover.panic_tail.bytes);
    ready_.feed(handover.ready_tail.bytes);
    open_streams();
    typed(handover.typed.bytes);
}

ConsoleHandover Console::hand_over() const {
    return {.master = master_->descriptor(),
            .slave = slave_.get(),
            .typed = {std::string(master_->unwritten()) + waiting_},
            .history = {history_.text()},
            .panic_tail = {panic_.tail()},
            .ready_tail = {ready_.tail()},
            .panicking = panicking_,
            .panicked = panicked_};
}

bool Console::busy() const {
    return std::ranges::any_of(clients_, [](const Client& client) { return client.stream->open(); });
}

void Console::open_streams() {
    master_->on_data = [this](std::string_view bytes) { output(bytes); };
    master_->on_written = [this] { type_on(); };
    master_->read(true);
}

void Console::output(std::string_view bytes) {
    log_.write(bytes);
    history_.feed(bytes);
    clients_.remove_if([](const Client& client) { return !client.stream->open(); });
    for (Client& client : clients_) { send(client, bytes); }
    watch(bytes);
}

void Console::send(Client& client, std::string_view bytes) {
    if (client.skipped != 0 || client.stream->queued() + bytes.size() > client_queue) {
        client.skipped += bytes.size();
    } else {
        client.stream->write(bytes);
    }
}

// A slow client that has read what was queued for it gets what it missed, as far as the history goes.
void Console::catch_up() {
    for (Client& client : clients_) {
        if (client.skipped == 0 || client.stream->queued() != 0) { continue; }
        const std::string_view history = recent(history_.text(), console_history);
        const std::size_t lost = client.skipped - std::min(client.skipped, history.size());
        const std::string_view missed = recent(history, client.skipped);
        client.skipped = 0; // before writing, which may come back here
        if (lost != 0) {
            client.stream->write("\r\n[" + std::to_string(lost) + " bytes left out here; the log has them]\r\n");
        }
        client.stream->write(missed);
    }
}

void Console::attach(const std::shared_ptr<Stream>& client, bool history, std::string_view typed_bytes) {
    if (history) { client->write(recent(history_.text(), console_history)); }
    client->on_data = [this](std::string_view bytes) { typed(bytes); };
    client->on_written = [this] { catch_up(); };
    clients_.remove_if([](const Client& other) { return !other.stream->open(); });
    clients_.push_back({client, 0});
    typed(typed_bytes);
    hold_back();
}

void Console::typed(std::string_view bytes) {
    waiting_.append(bytes);
    type_on();
}

void Console::type_on() {
    if (!in_gap_ && !waiting_.empty() && master_->queued() == 0) {
        const std::size_t size = piece_ == 0 ? waiting_.size() : std::min(piece_, waiting_.size());
        const std::string piece = waiting_.substr(0, size);
        waiting_.erase(0, size);
        if (piece_ != 0) { begin_gap(); }
        master_->write(piece);
    }
    const bool was_full = std::exchange(full_, waiting_.size() + master_->queued() >= input_queue);
    if (full_ != was_full) { hold_back(); }
}

void Console::begin_gap() {
    in_gap_ = true;
    gap_.expires_after(piece_time);
    gap_.async_wait([this](boost::system::error_code error) {
        if (error) { return; }
        in_gap_ = false;
        type_on();
    });
}

void Console::hold_back() {
    for (const Client& client : clients_) { client.stream->read(!full_); }
}

void Console::watch(std::string_view bytes) {
    if (ready_.feed(bytes) && on_ready_text) { on_ready_text(); }
    if (halt_.feed(bytes) && on_halt) { on_halt(); }
    if (panicked_) { return; }
    panicking_ = panic_.feed(bytes) || panicking_;
    if (!panicking_) { return; }
    // The line says why; it may still be coming.
    const std::string& text = history_.text();
    const std::size_t line = text.rfind(panic_text);
    if (line != std::string::npos && text.find('\n', line) == std::string::npos && text.size() - line < 256) { return; }
    panicked_ = true;
    if (on_panic) { on_panic(line_from(text, panic_text)); }
}

void Console::drain() {
    master_->drain();
    if (panicking_ && !panicked_) {
        panicked_ = true;
        if (on_panic) { on_panic(line_from(history_.text(), panic_text)); }
    }
}

void Console::reset() {
    waiting_.clear();
    ::tcflush(slave_.get(), TCIFLUSH);
    make_raw(slave_.get());
    ready_.reset();
    halt_.reset();
    watch_for_panic();
}

void Console::watch_for_panic() {
    panic_.reset();
    panicking_ = false;
    panicked_ = false;
}

void Console::finish() {
    for (const Client& client : clients_) { client.stream->finish(); }
    clients_.clear();
    gap_.cancel();
    master_->close();
}

} // namespace microvmc::supervisor
