#pragma once

#include "runtime/fd.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <string>

// How machine*.cpp talk to a supervisor. Everything has a deadline.

namespace microvmc::machine {

using Clock = std::chrono::steady_clock;

/// How long a killed machine's processes may take to die, and a supervisor to answer what it can answer at once.
inline constexpr std::chrono::milliseconds patience{5000};

std::string lock_path(const std::string& runtime_dir);

/// Connects to the control socket; none when nobody listens. Throws TimeoutError when it can't be had until then.
Fd connect_control(const std::string& runtime_dir, Clock::time_point deadline);

/// Connects to the machine's supervisor; none when no process of the machine lives. Between the two (a killed
/// supervisor's children die, a new one isn't there yet) it waits; throws TimeoutError when that lasts too long.
Fd find_supervisor(const std::string& runtime_dir);

/// The lock of a machine that has no living process, taken; it waits as `find_supervisor` does. Throws TimeoutError
/// when the machine runs or something of it stays.
Fd lock_machine(const std::string& runtime_dir);

/// Waits until no process of the machine lives. False when it didn't happen.
bool await_unlocked(const std::string& runtime_dir, Clock::time_point deadline);

/// Removes what a machine leaves behind when it is killed; the caller has its lock.
void remove_leftovers(const std::string& runtime_dir);

/// An answer to a request: its first line, and what came after it.
struct Answer {
    enum class Kind { answered, closed, timed_out } kind = Kind::closed;
    nlohmann::json json;
    std::string rest;
};

/// Sends a request and reads the answer's line. Throws Error for {"error":...} and for what isn't JSON.
Answer request(const Fd& connection, const nlohmann::json& json, Clock::time_point deadline);

/// The same, for what is answered at once: throws TimeoutError and Error when there is no answer.
Answer request_now(const Fd& connection, const nlohmann::json& json);

/// Milliseconds for poll(2): not negative, rounded up.
int left_until(Clock::time_point deadline);

} // namespace microvmc::machine
