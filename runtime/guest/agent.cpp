#include "runtime/guest/agent.h"

#include "runtime/guest/button.h"
#include "runtime/guest/environment.h"
#include "runtime/guest/exit_status.h"
#include "runtime/guest/own_init.h"
#include "runtime/guest/renew.h"
#include "runtime/guest/resized_disks.h"
#include "runtime/guest/volumes.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace microvmc::guest {

namespace {

constexpr std::uint32_t listener_number = 1; ///< of the channel's descriptors

std::vector<std::string> make_environment(const Settings& settings) {
    auto env = merge_environment(default_environment(), settings.env);
    if (std::holds_alternative<ready::Notify>(settings.ready)) {
        env = merge_environment(std::move(env), {concat({"NOTIFY_SOCKET=", notify_socket})});
    }
    return env;
}

Fd open_signals() {
    sigset_t wanted;
    sigemptyset(&wanted);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) { sigaddset(&wanted, number); }
    sigprocmask(SIG_BLOCK, &wanted, nullptr);
    signal(SIGPIPE, SIG_IGN);
    return Fd(signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC));
}

/// The least that isn't -1 (never).
int sooner(int a, int b) {
    if (a < 0 || b < 0) { return std::max(a, b); }
    return std::min(a, b);
}

} // namespace

Agent::Agent(const Settings& settings, Channel& channel, Role role)
    : channel_(channel), role_(role), env_(make_environment(settings)), probe_(settings, env_),
      signals_(open_signals()) {
    poller_.add(signals_.get(), Source::signals, 0, EPOLLIN);
    if (channel_.listener() >= 0) { poller_.add(channel_.listener(), Source::channel, listener_number, EPOLLIN); }
    if (probe_.notify_fd() >= 0) { poller_.add(probe_.notify_fd(), Source::notify, 0, EPOLLIN); }
    for (const auto& volume : settings.volumes) {
        if (volume.grow && !volume.device.empty()) { growing_.push_back(volume); }
    }
    if (!growing_.empty()) { devices_ = open_device_events(); }
    if (devices_.open()) { poller_.add(devices_.get(), Source::devices, 0, EPOLLIN); }
    if (role_ == Role::pid_1) { buttons_ = open_power_buttons(); }
    for (std::uint32_t i = 0; i < buttons_.size(); ++i) { poller_.add(buttons_[i].get(), Source::button, i, EPOLLIN); }
}

Ending Agent::run(pid_t main_process) {
    main_process_ = main_process;
    while (!ending_) {
        probe_.ask();
        report_ready();
        channel_.pump();
        read_channel();
        close_finished();
        for (auto& [id, stream] : streams_) { stream.watch(poller_, channel_.congested()); }
        if (ending_) { break; }
        watch_channel(); // after all that sends: with the host before gone, that takes the next one
        for (const auto& event : poller_.wait(timeout_ms())) { handle(event); }
    }
    return *ending_;
}

int Agent::timeout_ms() const {
    return sooner(probe_.timeout_ms(), channel_.is_open() ? channel_.partial_timeout_ms() : -1);
}

void Agent::handle(const Event& event) {
    switch (event.source) {
    case Source::channel: // read and written in every round
        if (event.number == listener_number) { channel_.take_hosts(); }
        break;
    case Source::signals: read_signals(); break;
    case Source::button:
        if (power_pressed(buttons_[event.number].get())) { ending_ = Ending{}; }
        break;
    case Source::notify: probe_.read_notification(); break;
    case Source::devices: grow_volumes(); break;
    case Source::stream_in:
        if (Stream* stream = find(event.number)) { stream->write_input(channel_); }
        break;
    case Source::stream_out:
    case Source::stream_err:
        if (Stream* stream = find(event.number)) { stream->read_output(event.source, channel_); }
        break;
    }
}

void Agent::watch_channel() {
    if (channel_.fd() < 0 || watched_host_ == channel_.hosts()) { return; }
    watched_host_ = channel_.hosts();
    poller_.add(channel_.fd(), Source::channel, 0, EPOLLIN | EPOLLOUT | static_cast<std::uint32_t>(EPOLLET));
}

// Everything that is there, unless a process doesn't read its input: then it stays in the channel (wire.h).
void Agent::read_channel() {
    if (!channel_.is_open()) { return; }
    channel_.forget_partial();
    for (;;) {
        while (!input_full()) {
            const auto frame = channel_.receive();
            if (!frame) { break; }
            handle_frame(*frame);
        }
        if (ending_ || input_full() || !channel_.read_piece()) { return; }
    }
}

void Agent::handle_frame(const wire::Frame& frame) {
    Stream* stream = find(frame.stream);
    const auto fields = wire::split_fields(frame.payload);
    switch (frame.type) {
    case wire::Type::ping:
        say_hello();
        reported_ready_ = false;
        report_ready();
        break;
    case wire::Type::shutdown: shut_down(frame); break;
    case wire::Type::exec: execute(frame); break;
    case wire::Type::input:
        if (stream != nullptr) {
            stream->add_input(frame.payload);
            stream->write_input(channel_);
        }
        break;
    case wire::Type::signal:
        if (stream != nullptr && fields.size() == 1) { stream->signal(wire::parse_number<int>(fields[0]).value_or(0)); }
        break;
    case wire::Type::resize:
        if (stream != nullptr && fields.size() == 2) {
            stream->resize(wire::parse_number<std::uint16_t>(fields[0]).value_or(0),
                           wire::parse_number<std::uint16_t>(fields[1]).value_or(0));
        }
        break;
    case wire::Type::close:
        if (stream != nullptr) { stream->abandon(); }
        break;
    case wire::Type::grant:
        if (stream != nullptr && fields.size() == 1) {
            stream->grant(wire::parse_number<std::size_t>(fields[0]).value_or(0));
        }
        break;
    case wire::Type::renew: renew(fields); break;
    case wire::Type::hello:
    case wire::Type::ready:
    case wire::Type::end:
    case wire::Type::failed:
    case wire::Type::output:
    case wire::Type::error:
    case wire::Type::exit:
    case wire::Type::taken:
    case wire::Type::renewed:
    case wire::Type::want:
    case wire::Type::credential: break; // the guest's own, and what was wanted before
    }
}

void Agent::shut_down(const wire::Frame& frame) {
    const auto fields = wire::split_fields(frame.payload);
    Ending ending;
    if (!fields.empty() && fields[0] == "reboot") { ending.kind = Ending::Kind::reboot; }
    if (fields.size() > 1) { ending.grace_ms = wire::parse_number<std::int64_t>(fields[1]).value_or(default_grace_ms); }
    if (role_ == Role::pid_1) {
        ending_ = ending;
    } else {
        ask_own_init(ending.kind);
    }
}

void Agent::execute(const wire::Frame& frame) {
    if (find(frame.stream) != nullptr) { return; } // the host's mistake; the one that runs is not disturbed
    const auto exec = wire::parse_exec(frame.payload);
    if (!exec) {
        channel_.send(wire::Type::error, frame.stream, "microvmc-init: malformed exec\n");
        channel_.send(wire::Type::exit, frame.stream, "126");
        return;
    }
    const int error_number = streams_[frame.stream].start(frame.stream, *exec, env_);
    if (error_number == 0) { return; }
    streams_.erase(frame.stream);
    channel_.send(wire::Type::error, frame.stream,
                  with_errno({"microvmc-init: cannot start ", exec->argv.front()}, error_number).append("\n"));
    channel_.send(wire::Type::exit, frame.stream, "126");
}

void Agent::renew(const std::vector<std::string_view>& fields) {
    if (!fields.empty() && fields[0] == "restored") {
        for (auto& [id, stream] : streams_) { stream.abandon(); }
    }
    const Failure failure = fields.size() == 3 ? microvmc::guest::renew(fields[1], fields[2]) : "malformed renew";
    channel_.send(wire::Type::renewed, 0, failure.value_or(""));
}

void Agent::say_hello() {
    const auto boot_id = read_file("/proc/sys/kernel/random/boot_id", 64).value_or("");
    channel_.send(wire::Type::hello, 0,
                  wire::join_fields({std::to_string(wire::protocol_version), std::string(trim(boot_id))}));
}

void Agent::report_ready() {
    if (reported_ready_ || !probe_.holds()) { return; }
    channel_.send(wire::Type::ready, 0, {});
    reported_ready_ = true;
}

void Agent::read_signals() {
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
        const int number = static_cast<int>(signal.ssi_signo);
        if (number == SIGCHLD) {
            reap();
        } else if (role_ == Role::beside) {
            if (number == SIGTERM) { ending_ = own_init_ending(); }
        } else if (number == SIGTERM) {
            ending_ = Ending{Ending::Kind::reboot}; // busybox' and sysvinit's words: TERM, INT: reboot,
        } else {
            ending_ = Ending{}; // USR1: halt, USR2: power off. INT is Ctrl-Alt-Del, which a hypervisor
        }                       // presses to stop a machine (firecracker's SendCtrlAltDel), so: power off.
    }
}

void Agent::grow_volumes() {
    for (const auto& disk : read_resized_disks(devices_.get())) {
        for (const auto& volume : growing_) {
            if (volume.device != concat({"/dev/", disk})) { continue; }
            if (const auto failure = grow_volume(volume)) {
                say(*failure);
            } else {
                note(concat({volume.mount_point, " has grown with its disk ", disk}));
            }
        }
    }
}

void Agent::reap() {
    int wait_status = 0;
    pid_t pid = 0;
    while ((pid = waitpid(-1, &wait_status, WNOHANG)) > 0) {
        const int status = exit_status(wait_status);
        if (pid == main_process_) {
            main_process_ = -1;
            if (!ending_) { ending_ = Ending{Ending::Kind::exited, status}; }
        }
        if (probe_.child_exited(pid, status)) { continue; }
        for (auto& [id, stream] : streams_) {
            if (stream.pid() == pid) { stream.exited(status); }
        }
    }
}

void Agent::close_finished() {
    for (auto entry = streams_.begin(); entry != streams_.end();) {
        const Stream& stream = entry->second;
        if (!stream.finished()) {
            ++entry;
            continue;
        }
        if (!stream.abandoned()) { channel_.send(wire::Type::exit, entry->first, std::to_string(stream.status())); }
        entry = streams_.erase(entry);
    }
}

bool Agent::input_full() const {
    return std::any_of(streams_.begin(), streams_.end(), [](const auto& entry) { return entry.second.input_full(); });
}

Stream* Agent::find(std::uint32_t id) {
    const auto entry = streams_.find(id);
    return entry == streams_.end() ? nullptr : &entry->second;
}

} // namespace microvmc::guest
