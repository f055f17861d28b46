#pragma once

#include "runtime/host.h"

#include <functional>
#include <memory>
#include <span>
#include <string>

namespace microvmc {

/// Told before and after each action; for progress lines. What they throw counts as the action's failure.
struct Progress {
    std::function<void(const Action&)> begin;
    std::function<void(const Action&, const std::string& outcome)> end;
    /// In between, of what takes long: "340 of 1024 MiB".
    std::function<void(const Action&, const std::string& how_far)> advance{};
};

/// Performs the actions in order. When one fails, what was done is undone in reverse, and the first error is thrown
/// again, of the same type (Error, TimeoutError), with what could not be undone added to its text.
///
/// Undone means: directories, pinned kernels and initramfs made here are removed; files and removed records get back
/// what they had; machines started here are stopped (killed: they were not ready, or the plan as a whole failed) and
/// their runtime directories removed, but for their logs, which say why.
///
/// Three things are never undone, and said in the error: a machine that was stopped stays so (its old record is back,
/// so that `start` starts it as it was), a volume that grew stays longer, one that was deleted is gone. A volume made
/// here is removed only when no machine that has it was started meanwhile, since from then on it may hold data.
void perform(std::span<const Action> actions, Host& host, const Progress& progress);

/// The same, for whoever may have to take back later what went well.
class Performed {
public:
    explicit Performed(Host& host);
    ~Performed();
    Performed(const Performed&) = delete;
    Performed& operator=(const Performed&) = delete;

    void perform(std::span<const Action> actions, const Progress& progress);
    /// Takes back all that was done; gives the lines that say what could not be.
    std::string undo();

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace microvmc
