#pragma once

#include "runtime/action.h"
#include "runtime/host.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace microvmc {

/// What came of a group of actions.
struct GroupResult {
    enum class State {
        waiting,
        running,
        done,
        failed,  ///< and what it had done is undone
        skipped, ///< not begun, since one that it comes after failed
    } state = State::waiting;
    std::string error{}; ///< failed: what went wrong, and what is not undone
    std::string help{};
    bool timed_out = false;
    std::string because{}; ///< skipped: the group that failed
    double seconds = 0;  ///< that it took
};

/// Told one at a time, from several threads. What `begin` throws counts as the action's failure.
struct GroupProgress {
    std::function<void(const ActionGroup&, const Action&)> begin;
    std::function<void(const ActionGroup&, const GroupResult&)> end;
    /// In between, of what takes long: "340 of 1024 MiB".
    std::function<void(const ActionGroup&, const Action&, const std::string& how_far)> advance{};
};

/// Performs groups of actions, `parallelism` of them at once, each after those that it names; they come before it in
/// the list. When one fails, it is undone as `perform` does, those that come after it are skipped, and all others go
/// on. What a group without a machine of its own made is undone when no group after it came to anything.
std::vector<GroupResult> perform_groups(std::span<const ActionGroup> groups, Host& host, unsigned parallelism,
                                        const GroupProgress& progress);

/// Throws Error (TimeoutError when the first failure is one) that says what failed, what was not begun and what went
/// on; nothing when all is done.
void throw_failures(std::span<const ActionGroup> groups, const std::vector<GroupResult>& results);

} // namespace microvmc
