#pragma once

#include "runtime/host.h"

#include <functional>
#include <span>
#include <string>

namespace microvmc {

/// Told before and after each action; for progress lines.
struct Progress {
    std::function<void(const Action&)> begin;
    std::function<void(const Action&, const std::string& outcome)> end;
};

/// Performs the actions in order. When one fails, undoes what was done in reverse and throws the first error, to which
/// what could not be undone is added. Data is never deleted on the way back: a volume that was created with data in it
/// stays only when its machine had run.
void perform(std::span<const Action> actions, Host& host, const Progress& progress);

} // namespace microvmc
