#include "runtime/supervisor/supervisor.h"

#include "runtime/error.h"
#include "runtime/supervisor/descriptors.h"
#include "runtime/supervisor/images.h"
#include "runtime/supervisor/protocol.h"
#include "runtime/supervisor/signals.h"
#include "runtime/supervisor/sockets.h"
#include "runtime/supervisor/spawn.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

// Starting, signals, and the machine's end. What the guest and the clients say is in supervisor_guest.cpp and
// supervisor_clients.cpp.

namespace microvmc::supervisor {

namespace {

using namespace std::chrono_literals;
constexpr auto helper_grace = 2s;
constexpr auto chat_time = 10s;
constexpr auto release_time = 10s;
constexpr std::size_t max_chat_line = std::size_t{64} * 1024;

// Streams that run on in a guest that was saved have low numbers, and must not be taken for new ones.
std::uint32_t random_stream() {
    std::uint32_t number = 0;
    if (::getrandom(&number, sizeof(number), 0) != sizeof(number)) { number = 0; }
    return number >> 1U | 1U << 16U;
}

void kill_group(pid_t pid, int number) {
    ::kill(-pid, number); // every child leads a session
    ::kill(pid, number);
}

void make(const ChildFile& file) {
    if (!file.path.ends_with('/')) { return write_private_file(file.path, file.content, false); }
    if (::mkdir(file.path.c_str(), 0700) != 0 && errno != EEXIST) {
        throw Error("can't make " + file.path + ": " + std::strerror(errno));
    }
}

// Who connects waits until the child takes it.
bool is_listened_on_by_us(const Child& child) {
    return std::ranges::any_of(child.descriptors, [&child](const Descriptor& each) {
        return each.kind == Descriptor::Kind::listen && each.path == child.await_socket;
    });
}

// A cgroup that a killed supervisor left may be elsewhere: below that one's own.
void remove_recorded_cgroup(const std::string& file, const std::string& name) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> text{};
    const ssize_t count = fd ? ::read(fd.get(), text.data(), text.size()) : 0;
    const std::string path(text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (path.starts_with('/') && path.ends_with("/" + name)) { kill_cgroup(path); }
    ::unlink(file.c_str());
}

} // namespace

Supervisor::Supervisor(asio::io_context& io, Launch launch, int lock, std::vector<Credential> credentials)
    : io_(io), launch_(std::move(launch)), credentials_(std::move(credentials)), lock_(lock), log_(launch_.vmm_log),
      events_(launch_.event_log, launch_.vm), null_(::open("/dev/null", O_RDWR | O_CLOEXEC)),
      console_(io, launch_.console_log, launch_.ready_kind == "console" ? launch_.ready_text : "",
               launch_.console_piece),
      agent_(io, launch_.agent), execs_(agent_),
      control_((remove_sockets(launch_.runtime_dir, ""), io), path(control_name)), signals_(io, open_signals()),
      poll_(io), deadline_(io), helpers_(io), panic_(io), stable_(io), hook_time_(io), question_(io), reconnection_(io),
      started_(std::time(nullptr)) {
    if (launch_.restored) { execs_.set_next_id(random_stream()); }
    ::unlink(path(end_name).c_str());
    const std::string cgroup = cgroup_name_of(launch_.project, launch_.vm, launch_.runtime_dir);
    remove_recorded_cgroup(path(cgroup_name), cgroup);
    cgroup_ = std::make_unique<Cgroup>(cgroup, launch_.limits);
    if (!cgroup_->path().empty()) { write_private_file(path(cgroup_name), cgroup_->path(), false); }
    connect_parts();
}

void Supervisor::connect_parts() {
    evidence_.has_agent = launch_.agent.kind != AgentChannel::Kind::none;
    console_.on_ready_text = [this] { guest_is_ready(); };
    console_.on_panic = [this](const std::string& line) { panicked(line); };
    console_.on_halt = [this] { halted(); };
    agent_.on_frame = [this](const wire::Frame& frame) { guest_said(frame); };
    agent_.on_written = [this] { execs_.agent_written(); };
    agent_.on_connected = [this] {
        execs_.close_orphans();
        handle_held();
        if (launch_.restored) { ask_restored_again(); }
    };
    agent_.on_lost = [this] {
        execs_.end_all();
        shutdown_sent_ = false; // it may not have arrived
        renew_sent_ = false;
        for (const auto& client : std::exchange(renewers_, {})) {
            answer(client, error_answer("the guest's agent went before it answered"));
        }
    };
    control_.on_request = [this](const nlohmann::json& request, const std::shared_ptr<Stream>& client,
                                 std::string_view rest) { handle(request, client, rest); };
    arm_signals();
}

void Supervisor::start() {
    try {
        images_ = lock_images(launch_.images);
    } catch (const Error& error) { return fail_start(error.what()); }
    run_hooks("pre-start", launch_.pre_start, Milliseconds(launch_.startup_timeout_ms),
              [this](const std::string& failure) {
                  if (failure.empty()) {
                      start_children();
                  } else {
                      fail_start(failure);
                  }
              });
}

void Supervisor::start_children() {
    phase_ = Phase::starting;
    starting_since_ = Clock::now();
    events_.tell("starting");
    running_.clear();
    running_.reserve(launch_.children.size()); // callbacks hold on to elements
    try {
        agent_.prepare();
    } catch (const Error& error) {
        fail_start(error.what());
        return;
    }
    start_next();
}

void Supervisor::start_next() {
    while (running_.size() < launch_.children.size()) {
        const Child& child = launch_.children[running_.size()];
        try {
            start_child(child);
        } catch (const Error& error) {
            fail_start(child.role + ": " + error.what());
            return;
        }
        if (!child.await_socket.empty()) {
            await_socket();
            return;
        }
    }
    // On a disk this takes milliseconds: while the VMM is under way already.
    ::unlink(launch_.end_file.c_str());
    children_started();
}

void Supervisor::start_child(const Child& child) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        throw Error(std::string("can't make a pipe: ") + std::strerror(errno));
    }
    const Fd err_end(pipe[1]);
    const auto err = Stream::make(io_, pipe[0]);
    refuse_disguised(child.raw_images);
    for (const ChildFile& file : child.files) { make(file); }
    std::vector<std::string> argv = child.first_argv.empty() ? child.argv : child.first_argv;
    Fd listener; // closed here once the child has it, so that nobody waits for a dead one
    if (!child.listen.empty()) {
        listener.reset(listen_unix(child.listen));
        ::fcntl(listener.get(), F_SETFL, 0); // servers expect one that blocks
        argv.push_back("--fd=" + std::to_string(listener.get()));
    }
    const std::vector<Fd> opened = open_descriptors(child.descriptors);
    std::vector<SpawnRequest::Placed> placed;
    for (std::size_t i = 0; i < opened.size(); ++i) {
        placed.push_back({.fd = opened[i].get(), .number = child.descriptors[i].number});
    }
    const int in = child.console ? console_.slave() : null_.get();
    const int out = child.console ? console_.slave() : err_end.get();
    Running running;
    running.child = &child;
    std::vector<int> inherit{lock_};
    for (const Fd& image : images_) { inherit.push_back(image.get()); }
    running.pid = spawn({.argv = argv,
                         .in = in,
                         .out = out,
                         .err = err_end.get(),
                         .inherit = std::move(inherit),
                         .listen = listener.get(),
                         .placed = std::move(placed),
                         .user = user_of(child.user),
                         .cgroup = cgroup_->fd(),
                         .limited = !controllers_for(launch_.limits).empty(),
                         .read_only = child.read_only});
    running.err = err;
    running_.push_back(std::move(running));
    watch_words(running_.size() - 1);
}

void Supervisor::watch_words(std::size_t index) {
    const auto& err = running_[index].err;
    err->on_data = [this, index](std::string_view bytes) {
        log_.write(bytes);
        if (index < running_.size()) { running_[index].words.feed(bytes); }
    };
    err->read(true);
}

void Supervisor::await_socket() {
    const Running& last = running_.back();
    if (is_listened_on_by_us(*last.child) || is_listening(last.child->await_socket, last.pid)) {
        begin_chat();
        return;
    }
    const auto waited = Clock::now() - starting_since_;
    if (waited >= Milliseconds(launch_.startup_timeout_ms)) {
        fail_start(last.child->role + " didn't listen on " + last.child->await_socket + " within " +
                   std::to_string(launch_.startup_timeout_ms) + " ms");
        return;
    }
    poll_.expires_after(waited < 200ms ? 1ms : 10ms);
    poll_.async_wait([this](boost::system::error_code error) {
        if (!error && phase_ == Phase::starting) { await_socket(); }
    });
}

void Supervisor::begin_chat() {
    const Child& child = *running_.back().child;
    if (child.chat.empty()) {
        start_next();
        return;
    }
    const int fd = connect_unix(child.await_socket);
    if (fd < 0) {
        fail_start(child.role + " takes no connection on " + child.await_socket);
        return;
    }
    chat_ = {Stream::make(io_, fd), 0, {}, {}};
    chat_.stream->on_data = [this](std::string_view bytes) { chatted(bytes); };
    chat_.stream->on_end = [this] { chat_.last_line = "it hung up"; }; // if it died, that is heard of in time
    chat_.stream->read(true);
    for (; chat_.step < child.chat.size() && child.chat[chat_.step].expect.empty(); ++chat_.step) {
        chat_.stream->write(child.chat[chat_.step].send);
    }
    poll_.expires_after(std::min<Milliseconds>(chat_time, Milliseconds(launch_.startup_timeout_ms)));
    poll_.async_wait([this](boost::system::error_code error) {
        if (!error && chat_.stream) { fail_chat("said nothing more"); }
    });
}

void Supervisor::chatted(std::string_view bytes) {
    const std::vector<ChatStep>& steps = running_.back().child->chat;
    chat_.text.append(bytes);
    std::size_t end = 0;
    while (chat_.step < steps.size() && (end = chat_.text.find('\n')) != std::string::npos) {
        chat_.last_line = chat_.text.substr(0, end);
        chat_.text.erase(0, end + 1);
        if (chat_.last_line.find(steps[chat_.step].expect) == std::string::npos) { continue; }
        chat_.stream->write(steps[chat_.step].send);
        ++chat_.step;
    }
    if (chat_.text.size() > max_chat_line) {
        fail_chat("said too much");
    } else if (chat_.step == steps.size()) {
        end_chat();
        start_next();
    }
}

void Supervisor::fail_chat(const std::string& what) {
    const std::string last = chat_.last_line.substr(0, 200);
    end_chat();
    fail_start(running_.back().child->role + " " + what + " when it was told what it starts with" +
               (last.empty() ? "" : ", after: " + last));
}

void Supervisor::end_chat() {
    poll_.cancel();
    if (chat_.stream) { chat_.stream->close(); }
    chat_ = {};
}

void Supervisor::children_started() {
    phase_ = Phase::up;
    vmm_up_ = true;
    events_.tell("running");
    if (evidence_.has_agent) {
        agent_.start(running_.back().pid);
    } else if (launch_.ready_kind == "init") {
        guest_is_ready(); // as far as anybody can tell
    }
    if (!told_) {
        told_ = true;
        on_started({{"supervisor", ::getpid()}, {"vmm", running_.back().pid}});
    }
    answer_waiters();
}

void Supervisor::fail_start(const std::string& why) {
    evidence_.start_failed = true;
    evidence_.failed = why;
    end_children();
}

void Supervisor::arm_signals() {
    signals_.async_wait(asio::posix::descriptor_base::wait_read, [this](boost::system::error_code error) {
        if (error) { return; }
        arm_signals();
        signalfd_siginfo signal{};
        if (::read(signals_.native_handle(), &signal, sizeof signal) != sizeof signal) { return; }
        if (signal.ssi_signo == SIGCHLD) {
            reap();
        } else {
            log_.line(signal.ssi_signo == SIGTERM ? "SIGTERM: stopping" : "SIGINT: stopping");
            stop(Milliseconds(launch_.shutdown_timeout_ms), false, false);
        }
    });
}

void Supervisor::reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
        const auto found = std::ranges::find_if(running_, [pid](const Running& r) { return r.pid == pid && r.alive; });
        if (found != running_.end()) { child_ended(*found, status); }
        if (pid == hooks_.pid) { hook_ended(status); }
    }
}

void Supervisor::child_ended(Running& running, int wait_status) {
    running.alive = false;
    running.wait_status = wait_status;
    if (running.err) {
        running.err->drain();
        running.err->close();
    }
    const std::string words = last_lines(running.words.text(), 3);
    const bool is_vmm = running.child == &launch_.children.back();
    log_.line(running.child->role + " " + describe_wait_status(wait_status));
    switch (phase_) {
    case Phase::starting:
        fail_start(running.child->role + " " + describe_wait_status(wait_status) + (words.empty() ? "" : ": ") + words);
        return;
    case Phase::up:
        if (!is_vmm) { return helper_ended(running, words); }
        evidence_.wait_status = wait_status;
        evidence_.last_words = words;
        end_children();
        return;
    case Phase::ending: continue_ending(); return;
    case Phase::waiting:
    case Phase::done: return;
    }
}

Supervisor::Running* Supervisor::vmm() {
    return running_.size() == launch_.children.size() ? &running_.back() : nullptr;
}

void Supervisor::stop(Milliseconds timeout, bool kill, bool asked) {
    if (phase_ == Phase::ending || phase_ == Phase::done) {
        stopping_ = true; // not again after a reboot
        return;
    }
    if (!stopping_) { events_.tell("stopping"); }
    stopping_ = true;
    execs_.stop_waiting();
    if (phase_ == Phase::waiting) {
        poll_.cancel();
        evidence_ = {};
        complete(*restart_after_);
        return;
    }
    if (kill) {
        kill_vmm("killed on request", false);
    } else if (agent_answers()) {
        ask_to_power_off(timeout);
    } else if (asked || evidence_.asked) {
        evidence_.asked = true;
        end_by(timeout, "didn't end");
    } else {
        kill_vmm("its agent wasn't up, so that it could not be asked to power off; killed", false);
    }
}

void Supervisor::ask_to_power_off(Milliseconds timeout) {
    evidence_.asked = true;
    if (!shutdown_sent_) {
        shutdown_sent_ = true;
        const std::string grace = std::to_string(timeout.count() / 2); // the rest is for unmounting
        agent_.send(wire::Type::shutdown, 0, wire::join_fields({"poweroff", grace}));
    }
    end_by(timeout, "didn't end");
}

// The earliest deadline counts.
void Supervisor::end_by(Milliseconds timeout, const std::string& else_reason) {
    const auto at = Clock::now() + std::clamp(timeout, Milliseconds(0), Milliseconds(std::chrono::hours(24 * 365)));
    if (at >= deadline_at_) { return; }
    deadline_at_ = at;
    deadline_.expires_at(at);
    deadline_.async_wait(
        [this, reason = else_reason + " within " + seconds(timeout) + "; killed"](boost::system::error_code error) {
            if (!error) { kill_vmm(reason, true); }
        });
}

void Supervisor::kill_vmm(const std::string& reason, bool out_of_time) {
    if (phase_ == Phase::ending || phase_ == Phase::done) { return; }
    evidence_.killed = true;
    evidence_.out_of_time = out_of_time;
    evidence_.kill_reason = reason;
    log_.line(reason);
    if (phase_ == Phase::starting) {
        end_children();
    } else if (Running* running = vmm(); running != nullptr && running->alive) {
        kill_group(running->pid, SIGKILL);
    }
}

void Supervisor::end_children() {
    phase_ = Phase::ending;
    helpers_asked_ = false;
    end_chat();
    kill_hook();
    panic_.cancel();
    continue_ending();
}

// The VMM first, then those that serve it.
void Supervisor::continue_ending() {
    if (Running* running = vmm(); running != nullptr && running->alive) {
        kill_group(running->pid, SIGKILL);
        return;
    }
    const bool any = std::ranges::any_of(running_, &Running::alive);
    if (!any && hooks_.pid != 0) { return; } // a hook that was killed
    if (!any) {
        all_dead();
        return;
    }
    if (helpers_asked_) { return; }
    helpers_asked_ = true;
    const auto signal_all = [this](int number) {
        for (auto running = running_.rbegin(); running != running_.rend(); ++running) {
            if (running->alive) { kill_group(running->pid, number); }
        }
    };
    signal_all(SIGTERM);
    helpers_.expires_after(helper_grace);
    helpers_.async_wait([signal_all](boost::system::error_code error) {
        if (!error) { signal_all(SIGKILL); }
    });
}

void Supervisor::all_dead() {
    helpers_.cancel();
    // What they said last is still on its way to us.
    console_.drain();
    agent_.drain();
    deadline_.cancel();
    panic_.cancel();
    deadline_at_ = Clock::time_point::max();
    agent_.stop();
    execs_.end_all();
    evidence_.booted = agent_up_;
    const End end = decide_end(evidence_);
    if (!stopping_ && end.kind == End::Kind::reboot) {
        log_.line("the guest reboots");
        new_boot();
        start_again();
    } else if (is_restarted_after(end)) {
        restart_later(end);
    } else {
        complete(end);
    }
}

void Supervisor::start_again() {
    cgroup_->remove(); // with what a helper left
    remove_sockets(launch_.runtime_dir, control_name);
    const bool has_agent = evidence_.has_agent;
    evidence_ = {};
    evidence_.has_agent = has_agent;
    console_.reset();
    launch_.restored = false;
    running_.clear(); // they point to their children
    if (!launch_.next_children.empty()) { launch_.children = std::exchange(launch_.next_children, {}); }
    for (Child& child : launch_.children) { child.first_argv.clear(); }
    vmm_up_ = false;
    agent_up_ = false;
    boot_id_.clear();
    try {
        cgroup_ =
            std::make_unique<Cgroup>(cgroup_name_of(launch_.project, launch_.vm, launch_.runtime_dir), launch_.limits);
    } catch (const Error& error) {
        running_.clear();
        phase_ = Phase::starting;
        fail_start(error.what());
        return;
    }
    start_children();
}

void Supervisor::complete(const End& end) {
    const bool had_cgroup = !cgroup_->path().empty();
    cgroup_->remove();
    for (int round = 0; !had_cgroup && round < 200; ++round) {
        kill_descendants();
        while (::waitpid(-1, nullptr, WNOHANG) > 0) {}
        if (::waitpid(-1, nullptr, WNOHANG) < 0) { break; } // ECHILD: none left
        const timespec pause{0, 5'000'000};
        ::nanosleep(&pause, nullptr);
    }
    for (const Tap& tap : launch_.taps) {
        try {
            remove_tap(tap);
        } catch (const Error& error) { log_.line(error.what()); }
    }
    run_hooks("release", launch_.release, release_time, [this, end](const std::string& failed_release) {
        if (!failed_release.empty()) { log_.line(failed_release); }
        run_hooks("post-stop", launch_.post_stop, Milliseconds(post_stop_ms), [this, end](const std::string& failure) {
            if (!failure.empty()) { log_.line(failure); }
            conclude(end);
        });
    });
}

void Supervisor::conclude(const End& end) {
    phase_ = Phase::done;
    log_.line("the machine " + describe(end));
    control_.stop();
    remove_sockets(launch_.runtime_dir, "");
    for (const char* name : {launch_name, cgroup_name}) { ::unlink(path(name).c_str()); }
    for (const Child& child : launch_.children) {
        for (const ChildFile& file : child.files) {
            std::error_code ignored;
            std::filesystem::remove_all(file.path, ignored);
        }
    }
    for (const std::string& file : {launch_.end_file, path(end_name)}) {
        try {
            write_end(file, {end, ready_by(end)});
        } catch (const Error& error) { log_.line(error.what()); }
    }
    events_.tell("ended", {{"end", end}});
    if (!told_) { on_started(error_answer(describe(end))); }
    answer_all(end);
    console_.finish();
    leave(200);
}

// Clients get a second to take what is queued for them.
void Supervisor::leave(int rounds) {
    if (rounds == 0 || !control_.busy()) {
        io_.stop();
        return;
    }
    poll_.expires_after(5ms);
    poll_.async_wait([this, rounds](boost::system::error_code) { leave(rounds - 1); });
}

} // namespace microvmc::supervisor
