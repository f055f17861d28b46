#pragma once

#include "runtime/fd.h"
#include "runtime/launch.h"
#include "runtime/supervisor/agent.h"
#include "runtime/supervisor/cgroup.h"
#include "runtime/supervisor/console.h"
#include "runtime/supervisor/control.h"
#include "runtime/supervisor/credentials.h"
#include "runtime/supervisor/end.h"
#include "runtime/supervisor/events.h"
#include "runtime/supervisor/execs.h"
#include "runtime/supervisor/handover.h"
#include "runtime/supervisor/log_file.h"
#include "runtime/supervisor/program.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace microvmc::supervisor {

/// One machine, from the start of its children to its end.
///
///     starting --all children run--> up --the VMM ended, or must--> ending --all dead--> done
///        ^                                                            |
///        +------------------- the guest reported a reboot ------------+
///        +---- a while ---- waiting <----- it is started again -------+
class Supervisor {
public:
    /// Throws Error when the console, the logs or the control socket can't be had.
    Supervisor(asio::io_context& io, Launch launch, int lock, std::vector<Credential> credentials = {});

    /// Called once: with the answer for who started us, as protocol.h has it.
    std::function<void(const nlohmann::json&)> on_started;

    void start();

    /// A machine that an earlier program of this process started, as it was handed over. Changes nothing but this
    /// process's memory until it is told to `go_on`. Throws Error.
    Supervisor(asio::io_context& io, const Handover& handover);
    /// From now on the machine is this object's, and ends with it: answers who asked for the new program, and takes
    /// notice of what happened meanwhile.
    void go_on(const Handover& handover);
    /// Whether it ended before all children were started.
    [[nodiscard]] bool start_failed() const { return !told_; }

private:
    enum class Phase { starting, up, ending, waiting, done };
    using Clock = std::chrono::steady_clock;
    using Milliseconds = std::chrono::milliseconds;

    struct Running {
        const Child* child = nullptr;
        pid_t pid = 0;
        bool alive = true;
        int wait_status = 0;
        std::shared_ptr<Stream> err; ///< its stderr, or all of its output when it hasn't the console; may be null
        Tail words{4096};
    };
    struct Waiter {
        std::string goal; ///< "vmm", "agent", "ready"
        std::shared_ptr<Stream> client;
        std::unique_ptr<asio::steady_timer> timer;
    };
    /// A request of the guest's agent that came while its channel was cut, as some VMMs do when they save a machine.
    struct Held {
        nlohmann::json request;
        std::shared_ptr<Stream> client;
        std::string rest;
    };
    struct Stopper {
        std::shared_ptr<Stream> client;
        Clock::time_point since;
    };

    void connect_parts();
    void watch_words(std::size_t index);
    // starting
    void start_children();
    void start_next();
    void start_child(const Child& child);
    void await_socket();
    void begin_chat();
    void chatted(std::string_view bytes);
    void fail_chat(const std::string& what);
    void end_chat();
    void children_started();
    void fail_start(const std::string& why);
    // signals and deaths
    void arm_signals();
    void reap();
    void child_ended(Running& running, int wait_status);
    // hooks
    using HooksDone = std::function<void(const std::string& failure)>; ///< empty: all went well
    void run_hooks(const std::string& name, const std::vector<std::vector<std::string>>& hooks, Milliseconds time,
                   HooksDone done);
    void next_hook();
    void hook_ended(int wait_status);
    void kill_hook();
    // ending
    void stop(Milliseconds timeout, bool kill, bool asked);
    void ask_to_power_off(Milliseconds timeout);
    void end_by(Milliseconds timeout, const std::string& else_reason);
    void kill_vmm(const std::string& reason, bool out_of_time);
    void end_children();
    void continue_ending();
    void all_dead();
    void start_again();
    void complete(const End& end);
    void conclude(const End& end);
    // starting again
    void helper_ended(const Running& running, const std::string& words);
    void helper_lost(Child::OnDeath on_death);
    [[nodiscard]] bool is_restarted_after(const End& end) const;
    void restart_later(const End& end);
    void stable_from_now();
    void leave(int rounds);
    // the guest
    void guest_said(const wire::Frame& frame);
    void guest_hello(const std::string& boot_id);
    void guest_booted(const std::string& boot_id);
    void guest_ended(const std::vector<std::string_view>& fields);
    void guest_is_ready();
    void panicked(const std::string& line);
    void halted();
    void send_renew(std::string_view kind);
    void guest_renewed(std::string_view failure);
    void ask_restored_again();
    void send_credential(const std::vector<std::string_view>& fields);
    void new_boot();
    // clients
    void handle(const nlohmann::json& request, const std::shared_ptr<Stream>& client, std::string_view rest);
    [[nodiscard]] bool hold(const nlohmann::json& request, const std::shared_ptr<Stream>& client,
                            std::string_view rest);
    void handle_held();
    void handle_await(const nlohmann::json& request, const std::shared_ptr<Stream>& client);
    void handle_stop(const nlohmann::json& request, const std::shared_ptr<Stream>& client);
    void handle_amend(const nlohmann::json& request, const std::shared_ptr<Stream>& client);
    void handle_renew(const std::shared_ptr<Stream>& client);
    void handle_reexec(const nlohmann::json& request, const std::shared_ptr<Stream>& client);
    /// Why the program can't be replaced now; empty: it can.
    [[nodiscard]] std::string occupied_but_for(const std::shared_ptr<Stream>& client);
    [[nodiscard]] Handover hand_over(const std::shared_ptr<Stream>& client);
    [[nodiscard]] nlohmann::json status() const;
    [[nodiscard]] MachineState state() const;
    /// Whether the agent said hello and can be spoken to.
    [[nodiscard]] bool agent_answers() const { return agent_up_ && agent_.connected(); }
    [[nodiscard]] bool reached(const std::string& goal) const;
    [[nodiscard]] bool ready_by(const End& end) const;
    [[nodiscard]] std::string waiting_for(const std::string& goal) const;
    void answer_waiters();
    void answer_all(const End& end);
    [[nodiscard]] nlohmann::json stop_answer(const Stopper& stopper, const End& end) const;

    [[nodiscard]] Running* vmm();
    [[nodiscard]] std::string path(const char* name) const { return launch_.runtime_dir + "/" + name; }

    asio::io_context& io_;
    Launch launch_;
    std::vector<Credential> credentials_; ///< that its guest may ask for, at each of its boots
    /// The identity of the program that runs; of the file as it was when it was executed.
    std::string program_ = program_identity("/proc/self/exe").value_or("");
    int lock_;
    std::vector<Fd> images_; ///< locked, also while the guest reboots
    LogFile log_;
    EventLog events_;
    Fd null_;
    Console console_;
    AgentLink agent_;
    Execs execs_;
    ControlServer control_;
    std::unique_ptr<Cgroup> cgroup_;
    asio::posix::stream_descriptor signals_; ///< a signalfd(2): what waits there outlives an upgrade
    asio::steady_timer poll_;                ///< steps of starting and of leaving
    asio::steady_timer deadline_;            ///< of the whole machine's end
    asio::steady_timer helpers_;             ///< of the helpers' end
    asio::steady_timer panic_;
    asio::steady_timer stable_; ///< until what runs counts as stable
    asio::steady_timer hook_time_;
    asio::steady_timer question_;     ///< until a guest that was restored is asked again
    asio::steady_timer reconnection_; ///< until what is held is given up

    struct Chat {
        std::shared_ptr<Stream> stream; ///< null: there is none
        std::size_t step = 0;
        std::string text; ///< that came and is no whole line yet
        std::string last_line;
    } chat_; ///< with the child that was started last

    struct Hooks {
        std::string name; ///< "pre-start"
        std::vector<std::vector<std::string>> left;
        std::vector<std::string> running;
        pid_t pid = 0; ///< 0: none runs
        bool out_of_time = false;
        std::shared_ptr<Stream> output;
        Tail words{4096};
        HooksDone done;
    } hooks_; ///< programs on the host, before the machine and after it

    Phase phase_ = Phase::starting;
    std::vector<Running> running_; ///< in start order
    Clock::time_point starting_since_;
    Clock::time_point deadline_at_ = Clock::time_point::max();
    std::time_t started_ = 0;
    std::uint32_t reboots_ = 0;
    std::uint32_t restarts_ = 0;       ///< by the supervisor, all of them
    std::uint32_t in_a_row_ = 0;       ///< those since it was stable
    std::optional<End> restart_after_; ///< the end that it is started again after
    Clock::time_point restart_at_;
    std::string boot_id_;
    Evidence evidence_;
    bool told_ = false; ///< on_started was told of success
    bool vmm_up_ = false;
    bool agent_up_ = false;
    int agent_version_ = 0; ///< wire::protocol_version of the guest's
    bool ready_ = false;
    bool stopping_ = false;
    bool shutdown_sent_ = false;
    bool renew_sent_ = false; ///< to a guest that was restored
    bool helpers_asked_ = false;
    bool hello_since_panic_ = false;
    std::list<Waiter> waiters_;
    std::list<Stopper> stoppers_;
    std::vector<Held> held_;
    std::vector<std::shared_ptr<Stream>> renewers_; ///< who waits for `renewed`
    std::shared_ptr<Stream> upgrader_;              ///< who asked for this program, until it is answered
};

} // namespace microvmc::supervisor
