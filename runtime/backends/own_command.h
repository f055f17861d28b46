#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

// Hypervisors whose running machines are asked by a command of their own.

namespace microvmc {

/// How such a machine is found again: Lowered::control.
struct OwnCommand {
    std::string program; ///< that asks
    std::string place;   ///< where it finds the machine: a socket, a directory

    /// One line of text, and back. Throws Error for what isn't one.
    [[nodiscard]] std::string text() const;
    static OwnCommand of(std::string_view text);
};

inline constexpr std::chrono::milliseconds own_command_timeout{30'000};

/// Runs it and returns what it said. Throws Error with its words when it fails, TimeoutError when it takes too long.
/// `title`: the hypervisor's; `meanwhile`: RunOptions::meanwhile.
std::string run_own_command(std::string_view title, const std::vector<std::string>& argv,
                            std::chrono::milliseconds timeout = own_command_timeout,
                            const std::function<void()>& meanwhile = {});

/// Waits until there is a socket that somebody listens on. Throws TimeoutError.
void await_listening(const std::string& socket, std::chrono::milliseconds timeout);

} // namespace microvmc
