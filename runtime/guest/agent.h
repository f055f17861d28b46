#pragma once

#include "runtime/guest/channel.h"
#include "runtime/guest/ending.h"
#include "runtime/guest/poller.h"
#include "runtime/guest/probe.h"
#include "runtime/guest/settings.h"
#include "runtime/guest/stream.h"

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::guest {

/// Answers the host, reaps, watches the main process and the power button: everything that happens once the machine is
/// set up, in one loop of one thread.
class Agent {
public:
    /// PID 1: it also is the init: it reaps the main process, and SIGTERM, SIGUSR1, SIGUSR2 and SIGINT end the machine.
    /// Beside: a process next to the guest's own init, which does these things.
    enum class Role { pid_1, beside };

    Agent(const Settings& settings, Channel& channel, Role role);

    /// Tells the host that the machine is set up.
    void say_hello();

    /// Serves until the machine is to end. Beside: until the guest's own init ends this process.
    Ending run(pid_t main_process);

    /// The environment of the main process and of what the host executes.
    [[nodiscard]] const std::vector<std::string>& environment() const { return env_; }

private:
    int timeout_ms() const;
    void handle(const Event& event);
    void watch_channel();
    void read_channel();
    void handle_frame(const wire::Frame& frame);
    void shut_down(const wire::Frame& frame);
    void execute(const wire::Frame& frame);
    void renew(const std::vector<std::string_view>& fields);
    void report_ready();
    void read_signals();
    void grow_volumes();
    void reap();
    void close_finished();
    [[nodiscard]] bool input_full() const;
    Stream* find(std::uint32_t id);

    Channel& channel_;
    Role role_;
    std::vector<std::string> env_;
    Probe probe_;
    Poller poller_;
    Fd signals_;
    std::vector<Fd> buttons_;
    std::vector<VolumeSettings> growing_; ///< volumes whose file systems follow their disks
    Fd devices_;
    std::map<std::uint32_t, Stream> streams_;
    std::optional<unsigned> watched_host_; ///< of the channel
    pid_t main_process_ = -1;
    bool reported_ready_ = false;
    std::optional<Ending> ending_;
};

} // namespace microvmc::guest
