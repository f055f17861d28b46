// Stands in for a VMM with its guest where timing must be exact: fake_vmm SOCKET STEP... performs the steps in order,
// then exits 0. The agent's channel is SOCKET, in the frames of wire.h.
//
//   listen           on SOCKET; fails when it exists
//   accept           the supervisor
//   hangup           on it
//   vsock PORT       read what asks for this port of the guest's, and answer that it listens
//   terminal         a pty that it makes, instead of SOCKET
//   connect          to SOCKET, where the supervisor listens
//   commanded        from now on a control-A begins a command to itself, of which there are none; two are one
//   hello ID | ready | end KIND STATUS | failed MESSAGE      what a guest says
//   garbage BYTES    that are no frames, magics among them, until it is hung up on
//   torn BYTES       the beginning of a frame of that many
//   say TEXT         and a newline, as it is
//   hear             a line, and print it
//   send BYTES       of output on stream 7, which nobody has
//   take BYTES       that are typed, and print how many came at once at most
//   miss             what comes first
//   serve            answers ping and exec; shutdown: reports poweroff and exits 0
//   deaf             the same, but shutdown is ignored
//   hang             reads nothing
//   version N        of the wire that it speaks from now on; 1 has no window for output
//   stale MESSAGE    from now on it can't be renewed, and says why
//   greedy           from now on it says that it keeps to the window, and doesn't
//   print TEXT | complain TEXT | sleep MS | exit STATUS | abort
//   first FILE STEP... then STEP...    the steps before `then` when FILE isn't there (it is made), else those after it

#include "runtime/guest/wire.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace microvmc;

int listener = -1;
int channel = -1;
std::string boot_id = "boot-0";
wire::Decoder decoder;

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "fake_vmm: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(fd, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) { continue; }
        if (count < 0) { die("write"); }
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

void send(wire::Type type, std::uint32_t stream, std::string_view payload) {
    write_all(channel, wire::encode(type, stream, payload));
}

// A command by its name; the real one is the guest's business.
struct Command {
    std::string name;
    std::string output; ///< that the window has no room for
    std::string status; ///< not empty: it has ended, which is said after its output
    bool windowed = false;
    std::size_t credit = 0;
};
std::map<std::uint32_t, Command> commands;
int version = wire::protocol_version;
bool greedy = false;
bool commanded = false;
std::string stale; ///< why it can't be renewed

void pump(std::uint32_t stream) {
    const auto found = commands.find(stream);
    if (found == commands.end()) { return; }
    Command& command = found->second;
    std::size_t sent = 0;
    while (sent < command.output.size()) {
        std::size_t size = std::min<std::size_t>(command.output.size() - sent, 30'000);
        if (command.windowed) {
            size = std::min(size, command.credit - std::min(command.credit, wire::header_size));
            if (size == 0) { break; }
            command.credit -= wire::frame_size(size);
        }
        send(wire::Type::output, stream, std::string_view(command.output).substr(sent, size));
        sent += size;
    }
    command.output.erase(0, sent);
    if (!command.output.empty() || command.status.empty()) { return; }
    send(wire::Type::exit, stream, command.status);
    commands.erase(found);
}

void send_output(std::uint32_t stream, std::string_view bytes) {
    commands[stream].output.append(bytes);
    pump(stream);
}

void end_command(std::uint32_t stream, const std::string& status) {
    commands[stream].status = status;
    pump(stream);
}

void listen_on(const std::string& path) {
    listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || ::listen(listener, 1) != 0) {
        die("listen");
    }
}

void connect_to(const std::string& path) {
    channel = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    if (::connect(channel, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) { die("connect"); }
}

void say_hello() {
    send(wire::Type::hello, 0, wire::join_fields({std::to_string(version), boot_id}));
}

void exec(std::uint32_t stream, const wire::Exec& request) {
    const std::string& name = request.argv[0];
    commands[stream] = {name, {}, {}, request.window != 0 && !greedy, request.window};
    const auto arg = [&request](std::size_t i) { return request.argv.size() > i ? request.argv[i] : std::string(); };
    if (name == "status") {
        end_command(stream, arg(1));
    } else if (name == "flood") {
        send_output(stream, std::string(std::strtoul(arg(1).c_str(), nullptr, 10), 'x'));
        end_command(stream, "0");
    } else if (name == "show") {
        std::string text = "workdir=" + request.workdir + (request.tty ? " tty" : "");
        for (const auto& variable : request.env) { text.append(" ").append(variable); }
        for (const auto& word : request.argv) { text.append(" [").append(word).append("]"); }
        send_output(stream, text);
        send(wire::Type::error, stream, "an error");
        end_command(stream, "0");
    } else if (request.tty) { // "cat", "size", "signals", "never"
        send_output(stream, std::to_string(request.rows) + "x" + std::to_string(request.columns) + "\n");
    }
}

void handle(const wire::Frame& frame, bool deaf) {
    switch (frame.type) {
    case wire::Type::ping: say_hello(); return;
    case wire::Type::shutdown:
        if (deaf) { return; }
        send(wire::Type::end, 0, wire::join_fields({"poweroff", "0"}));
        std::exit(0);
    case wire::Type::exec:
        if (const auto request = wire::parse_exec(frame.payload)) { exec(frame.stream, *request); }
        return;
    case wire::Type::input:
        if (commands.count(frame.stream) == 0 || commands[frame.stream].name == "never") { return; }
        if (frame.payload.empty()) {
            end_command(frame.stream, "0");
            return;
        }
        if (commands[frame.stream].name == "cat") { send_output(frame.stream, frame.payload); }
        send(wire::Type::taken, frame.stream, std::to_string(frame.payload.size()));
        return;
    case wire::Type::signal: {
        const auto number = wire::parse_number<int>(wire::split_fields(frame.payload).at(0)).value_or(0);
        send_output(frame.stream, "signal " + std::to_string(number));
        end_command(frame.stream, std::to_string(128 + number));
        return;
    }
    case wire::Type::resize: {
        const auto fields = wire::split_fields(frame.payload);
        send_output(frame.stream, std::string(fields.at(0)) + "x" + std::string(fields.at(1)) + "\n");
        return;
    }
    case wire::Type::close:
        write_all(1, "closed " + commands[frame.stream].name + "\n");
        commands.erase(frame.stream);
        return;
    case wire::Type::grant:
        if (const auto found = commands.find(frame.stream); found != commands.end()) {
            found->second.credit += wire::parse_number<std::size_t>(frame.payload).value_or(0);
            pump(frame.stream);
        }
        return;
    case wire::Type::renew: {
        const auto fields = wire::split_fields(frame.payload);
        write_all(1, "renew " + std::string(fields.at(0)) + ", " + std::to_string(fields.at(2).size()) + " digits\n");
        send(wire::Type::renewed, 0, stale);
        return;
    }
    case wire::Type::credential: {
        const auto piece = wire::parse_credential(frame.payload);
        if (!piece) { std::exit(9); }
        write_all(1, "credential " + std::string(piece->name) + (piece->known ? " " : " unknown ") +
                         std::to_string(piece->offset) + "+" + std::to_string(piece->bytes.size()) + "/" +
                         std::to_string(piece->size) + " crc " + std::to_string(wire::crc32(piece->bytes)) + "\n");
        return;
    }
    case wire::Type::hello:
    case wire::Type::ready:
    case wire::Type::end:
    case wire::Type::failed:
    case wire::Type::output:
    case wire::Type::error:
    case wire::Type::exit:
    case wire::Type::taken:
    case wire::Type::renewed:
    case wire::Type::want: return;
    }
}

// What is left of a piece when each pair of control-As is one.
std::string_view halved(char* piece, std::size_t size) {
    static bool begun = false;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (begun && piece[i] != '\x01') { die("it was commanded"); }
        begun = !begun && piece[i] == '\x01';
        if (!begun) { piece[kept++] = piece[i]; }
    }
    return {piece, kept};
}

void serve(bool deaf) {
    std::array<char, 65536> buffer{};
    for (;;) {
        while (const auto frame = decoder.next()) { handle(*frame, deaf); }
        const ssize_t count = ::read(channel, buffer.data(), buffer.size());
        if (count <= 0) { die("the supervisor hung up"); }
        const auto size = static_cast<std::size_t>(count);
        decoder.feed(commanded ? halved(buffer.data(), size) : std::string_view(buffer.data(), size));
    }
}

void answer_for_port(const std::string& port) {
    std::string line;
    for (char c = 0; c != '\n'; line.push_back(c)) {
        if (::read(channel, &c, 1) != 1) { die("vsock"); }
    }
    if (line != "CONNECT " + port + "\n") { die("vsock: it asked for something else"); }
    write_all(channel, "OK 1073741824\n");
}

void make_terminal() {
    channel = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (channel < 0 || ::grantpt(channel) != 0 || ::unlockpt(channel) != 0) { die("terminal"); }
    const int slave = ::open(::ptsname(channel), O_RDWR | O_NOCTTY | O_CLOEXEC); // until the supervisor has it
    if (slave < 0) { die("terminal"); }
}

std::string garbage(std::size_t size) {
    std::string bytes;
    unsigned state = 12345;
    while (bytes.size() < size) {
        state = state * 1103515245U + 12345U;
        if (state % 7 == 0) { bytes.append("mvmc"); }
        bytes.push_back(static_cast<char>(state >> 16U));
    }
    return bytes;
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    std::size_t at = 1;
    const auto next = [&]() -> const std::string& { return words.at(at++); };
    while (at < words.size()) {
        const std::string step = next();
        if (step == "listen") {
            listen_on(words[0]);
        } else if (step == "accept") {
            channel = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (channel < 0) { die("accept"); }
        } else if (step == "hangup") {
            ::close(channel);
            decoder = {};
        } else if (step == "vsock") {
            answer_for_port(next());
        } else if (step == "terminal") {
            make_terminal();
        } else if (step == "connect") {
            connect_to(words[0]);
        } else if (step == "commanded") {
            commanded = true;
        } else if (step == "hello") {
            boot_id = next();
            say_hello();
        } else if (step == "ready") {
            send(wire::Type::ready, 0, {});
        } else if (step == "end") {
            const std::string kind = next();
            send(wire::Type::end, 0, wire::join_fields({kind, next()}));
        } else if (step == "want") {
            send(wire::Type::want, 0, next());
        } else if (step == "failed") {
            send(wire::Type::failed, 0, next());
        } else if (step == "garbage") {
            // Until the supervisor has had enough of it.
            const std::string bytes = garbage(std::strtoul(next().c_str(), nullptr, 10));
            for (std::size_t sent = 0; sent < bytes.size();) {
                const ssize_t count = ::send(channel, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
                if (count <= 0) { break; }
                sent += static_cast<std::size_t>(count);
            }
        } else if (step == "torn") {
            const std::string frame = wire::encode(wire::Type::output, 7, std::string(std::stoul(next()), 't'));
            write_all(channel, std::string_view(frame).substr(0, 100));
        } else if (step == "say") {
            write_all(channel, next() + "\n");
        } else if (step == "hear") {
            std::string line;
            for (char c = 0; c != '\n'; line.push_back(c)) {
                if (::read(channel, &c, 1) != 1) { die("hear"); }
            }
            write_all(1, "heard " + line);
        } else if (step == "take") {
            std::array<char, 4096> piece{};
            std::size_t most = 0;
            for (std::size_t left = std::strtoul(next().c_str(), nullptr, 10); left > 0;) {
                const ssize_t got = ::read(0, piece.data(), std::min(left, piece.size()));
                if (got <= 0) { die("take"); }
                left -= static_cast<std::size_t>(got);
                most = std::max(most, static_cast<std::size_t>(got));
            }
            write_all(1, "at most " + std::to_string(most) + "\n");
        } else if (step == "send") {
            send_output(7, std::string(std::strtoul(next().c_str(), nullptr, 10), 'y'));
        } else if (step == "miss") {
            std::array<char, 4096> missed{};
            if (::read(channel, missed.data(), missed.size()) <= 0) { die("miss"); }
        } else if (step == "serve" || step == "deaf") {
            serve(step == "deaf");
        } else if (step == "version") {
            version = std::atoi(next().c_str());
        } else if (step == "stale") {
            stale = next();
        } else if (step == "greedy") {
            greedy = true;
        } else if (step == "hang") {
            for (;;) { ::pause(); }
        } else if (step == "print") {
            write_all(1, next());
        } else if (step == "complain") {
            write_all(2, next());
        } else if (step == "sleep") {
            ::usleep(static_cast<useconds_t>(std::strtoul(next().c_str(), nullptr, 10) * 1000));
        } else if (step == "exit") {
            return std::atoi(next().c_str());
        } else if (step == "abort") {
            std::abort();
        } else if (step == "first") {
            const std::string file = next();
            if (::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0) {
                while (next() != "then") {}
            }
        } else if (step == "then") {
            break;
        } else {
            std::fprintf(stderr, "fake_vmm: no step %s\n", step.c_str());
            return 64;
        }
    }
    return 0;
}
