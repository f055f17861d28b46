#pragma once

#include "runtime/guest/channel.h"
#include "runtime/guest/poller.h"
#include "runtime/guest/spawn.h"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::guest {

/// A process that the host executes, and its standard streams. Nothing here blocks.
class Stream {
public:
    /// Starts what the host asks for. `env`: what it inherits. 0, or the errno of what failed.
    int start(std::uint32_t id, const wire::Exec& exec, const std::vector<std::string>& env);

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// Registers what is wanted now: output while the channel takes it, stdin while there is input.
    void watch(const Poller& poller, bool congested);

    /// The host takes so many bytes more of what it says.
    void grant(std::size_t bytes);

    /// Bytes from the host; none: end of file.
    void add_input(std::string_view bytes);
    [[nodiscard]] bool input_full() const { return input_.size() >= wire::input_window; }

    /// Writes to stdin what it takes, and tells the host how much.
    void write_input(Channel& channel);

    /// Reads a piece of stdout or stderr, if the channel takes it, and sends it.
    void read_output(Source source, Channel& channel);

    void signal(int number) const;
    void resize(std::uint16_t rows, std::uint16_t columns) const;

    /// Nobody listens any more: hangs it up and discards what it says.
    void abandon();

    /// The process has ended. What it wrote is still sent.
    void exited(int status);

    /// Whether the process has ended and all it wrote is sent.
    [[nodiscard]] bool finished() const { return status_ && !out_.open() && !err_.open(); }
    [[nodiscard]] bool abandoned() const { return abandoned_; }
    [[nodiscard]] int status() const { return status_.value_or(0); }

private:
    int start_on_pipes(Program program);
    int start_on_pty(Program program, const wire::Exec& exec);
    /// How much may be read of stdout or stderr now.
    [[nodiscard]] std::size_t readable_now() const;
    void confirm(Channel& channel, std::size_t count) const;

    std::uint32_t id_ = 0;
    bool tty_ = false;
    std::size_t window_ = 0; ///< 0: none
    std::size_t credit_ = 0; ///< what is left of it
    bool abandoned_ = false;
    pid_t pid_ = -1;
    Watched in_; ///< stdin, or the pty
    Watched out_;
    Watched err_; ///< not open for a pty
    std::string input_;
    bool input_ended_ = false;
    std::optional<int> status_;
    /// When the process has ended: what it left in the pipes. What its own children add later is not waited for.
    std::size_t out_left_ = 0;
    std::size_t err_left_ = 0;
};

} // namespace microvmc::guest
