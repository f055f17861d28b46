#include "runtime/guest/stream.h"

#include "runtime/guest/environment.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace microvmc::guest {

namespace {

constexpr std::size_t piece_bytes = 16'384;
constexpr char end_of_transmission = 4; // what a terminal takes for end of file (VEOF)

void set_nonblocking(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

struct Pipe {
    Fd read;
    Fd write;
};

bool make_pipe(Pipe& pipe) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) { return false; }
    pipe.read = Fd(ends[0]);
    pipe.write = Fd(ends[1]);
    return true;
}

winsize window_size(std::uint16_t rows, std::uint16_t columns) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = columns;
    return size;
}

std::size_t readable_bytes(int fd) {
    int count = 0;
    return ioctl(fd, FIONREAD, &count) == 0 ? static_cast<std::size_t>(std::max(count, 0)) : 0;
}

} // namespace

int Stream::start(std::uint32_t id, const wire::Exec& exec, const std::vector<std::string>& env) {
    id_ = id;
    tty_ = exec.tty;
    window_ = credit_ = exec.window;
    Program program;
    program.argv = exec.argv;
    program.env = merge_environment(env, exec.env);
    program.workdir = exec.workdir;
    program.built_in = true;
    return tty_ ? start_on_pty(std::move(program), exec) : start_on_pipes(std::move(program));
}

int Stream::start_on_pipes(Program program) {
    Pipe in;
    Pipe out;
    Pipe err;
    if (!make_pipe(in) || !make_pipe(out) || !make_pipe(err)) { return errno; }
    program.stdin_fd = in.read.get();
    program.stdout_fd = out.write.get();
    program.stderr_fd = err.write.get();
    pid_ = spawn(program);
    if (pid_ < 0) { return errno; }
    for (const Fd* end : {&in.write, &out.read, &err.read}) { set_nonblocking(end->get()); }
    in_.set(std::move(in.write));
    out_.set(std::move(out.read));
    err_.set(std::move(err.read));
    return 0;
}

int Stream::start_on_pty(Program program, const wire::Exec& exec) {
    Fd pty(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    int unlocked = 0;
    if (!pty.open() || ioctl(pty.get(), TIOCSPTLCK, &unlocked) != 0) { return errno; }
    const Fd terminal(ioctl(pty.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal.open()) { return errno; }
    const winsize size = window_size(exec.rows, exec.columns);
    ioctl(terminal.get(), TIOCSWINSZ, &size);
    program.stdin_fd = program.stdout_fd = program.stderr_fd = terminal.get();
    program.terminal = true;
    Fd input(fcntl(pty.get(), F_DUPFD_CLOEXEC, 0));
    pid_ = spawn(program);
    if (pid_ < 0) { return errno; }
    in_.set(std::move(input));
    out_.set(std::move(pty));
    return 0;
}

void Stream::watch(const Poller& poller, bool congested) {
    const std::uint32_t read = congested || readable_now() == 0 ? 0U : EPOLLIN;
    out_.want(poller, Source::stream_out, id_, read);
    err_.want(poller, Source::stream_err, id_, read);
    in_.want(poller, Source::stream_in, id_, input_.empty() ? 0U : EPOLLOUT);
}

void Stream::grant(std::size_t bytes) {
    credit_ += std::min(bytes, window_ - credit_);
}

std::size_t Stream::readable_now() const {
    if (window_ == 0 || abandoned_) { return piece_bytes; }
    return std::min(piece_bytes, credit_ - std::min(credit_, wire::header_size));
}

void Stream::add_input(std::string_view bytes) {
    if (input_ended_) { return; }
    input_ended_ = bytes.empty();
    if (bytes.empty() && tty_) {
        input_.push_back(end_of_transmission);
    } else {
        input_.append(bytes);
    }
}

void Stream::confirm(Channel& channel, std::size_t count) const {
    if (count != 0 && !abandoned_) { channel.send(wire::Type::taken, id_, std::to_string(count)); }
}

void Stream::write_input(Channel& channel) {
    std::size_t taken = 0;
    while (taken < input_.size() && in_.open()) {
        const ssize_t written = ::write(in_.get(), input_.data() + taken, input_.size() - taken);
        if (written < 0 && errno == EAGAIN) { break; }
        if (written <= 0) { in_.close(); }
        taken += static_cast<std::size_t>(std::max<ssize_t>(written, 0));
    }
    if (!in_.open()) { taken = input_.size(); } // nobody will read it
    input_.erase(0, taken);
    confirm(channel, taken);
    if (input_.empty() && input_ended_ && !tty_) { in_.close(); }
}

void Stream::read_output(Source source, Channel& channel) {
    const bool is_out = source == Source::stream_out;
    Watched& pipe = is_out ? out_ : err_;
    std::size_t& left = is_out ? out_left_ : err_left_;
    const std::size_t most = readable_now();
    if (!pipe.open() || channel.congested() || most == 0) { return; }
    char piece[piece_bytes];
    const bool bounded = status_ && !tty_;
    const ssize_t got = ::read(pipe.get(), piece, bounded ? std::min(left, most) : most);
    if (got < 0 && errno == EAGAIN) { return; }
    if (got > 0 && !abandoned_) {
        if (window_ != 0) { credit_ -= wire::frame_size(static_cast<std::size_t>(got)); }
        channel.send(is_out ? wire::Type::output : wire::Type::error, id_, {piece, static_cast<std::size_t>(got)});
    }
    if (got > 0 && bounded) { left -= static_cast<std::size_t>(got); }
    // A pty whose processes are gone answers EIO.
    if (got <= 0 || (bounded && left == 0)) { pipe.close(); }
}

void Stream::signal(int number) const {
    // A child that has not made its session yet has no group of its own.
    if (!status_ && ::kill(-pid_, number) != 0) { ::kill(pid_, number); }
}

void Stream::resize(std::uint16_t rows, std::uint16_t columns) const {
    const winsize size = window_size(rows, columns);
    if (tty_ && out_.open()) { ioctl(out_.get(), TIOCSWINSZ, &size); }
}

void Stream::abandon() {
    signal(SIGHUP);
    abandoned_ = true;
    input_.clear();
    in_.close();
    if (tty_) { out_.close(); } // hangs up the terminal
}

void Stream::exited(int status) {
    status_ = status;
    in_.close();
    input_.clear();
    if (tty_) { return; }
    out_left_ = out_.open() ? readable_bytes(out_.get()) : 0;
    err_left_ = err_.open() ? readable_bytes(err_.get()) : 0;
    if (out_left_ == 0) { out_.close(); }
    if (err_left_ == 0) { err_.close(); }
}

} // namespace microvmc::guest
