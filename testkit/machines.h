#pragma once

#include "compiler/diff.h"
#include "compiler/facts.h"
#include "compiler/plan.h"
#include "runtime/action.h"
#include "runtime/linux_host.h"
#include "runtime/machine.h"
#include "testkit/planning.h"
#include "testkit/spec.h"
#include "testkit/timeline.h"
#include "testkit/verdict.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// The machines that a group of cases shares. What fails is told as a verdict; nothing here is logged, and nothing is
/// cleaned up: whoever started the process does that.
class Machines {
public:
    /// `facts` are those that the plan was made with.
    Machines(Plan plan, HostFacts facts, std::vector<ImageCopy> copies);

    [[nodiscard]] const Plan& plan() const { return plan_; }
    [[nodiscard]] const HostFacts& facts() const { return facts_; }
    /// Throws Error when there is no such machine.
    [[nodiscard]] const VmPlan& vm(const std::string& name) const;

    /// Starts all of them, and waits until they are ready. Passed: they are.
    Verdict boot(Timeline& timeline, Clock::time_point deadline);

    /// The same from a snapshot of its only machine, in place of booting.
    Verdict boot_from(const std::string& snapshot, Timeline& timeline, Clock::time_point deadline);
    /// Takes one, for others to boot from; empty, or why it can't be.
    std::string save_to(const std::string& snapshot);

    /// Takes over machines that another process started: those that ought to run.
    void resume(std::set<std::string> up) { up_ = std::move(up); }
    /// Those that ought to run.
    [[nodiscard]] const std::set<std::string>& up() const { return up_; }
    /// Whether these are the ones that `boot` started.
    [[nodiscard]] bool all_up() const { return up_ == booted_; }
    /// Those that ought to run: why one doesn't, else nothing.
    std::optional<Verdict> fallen();
    /// How a machine ended that ought to run; nothing: it runs. Waits until all of it is dead when it is dying.
    std::optional<Verdict> ended(const std::string& name);
    /// The same of one whose agent was lost: either it ends, or the agent comes back.
    std::optional<Verdict> ended_or_back(const std::string& name);

    // Of one machine; passed, or why not.
    Verdict start(const std::string& name, Timeline& timeline, Clock::time_point deadline);
    /// The same, as those are started that start with the host; wrong: it isn't one of them.
    Verdict autostart(const std::string& name, Timeline& timeline, Clock::time_point deadline);
    Verdict stop(const std::string& name, Timeline& timeline, Clock::time_point deadline);
    Verdict kill(const std::string& name);
    Verdict reboot(const std::string& name, Clock::time_point deadline);
    Verdict pause(const std::string& name);
    Verdict resume(const std::string& name);
    /// A number of MiB.
    Verdict stats(const std::string& name, StatsStep::What what, std::uint64_t& number);
    /// All of them become what `plan` makes of them, as they are now; `changes` is what that was. One plan follows the
    /// other.
    Verdict apply(const std::function<Planning(const Observed&, HostFacts&)>& plan, Changes& changes,
                  Timeline& timeline, Clock::time_point deadline);
    /// Until the guest is left with that much memory.
    Verdict balloon(const std::string& name, std::uint64_t mib, Clock::time_point deadline);
    /// In place of the one before.
    Verdict snapshot(const std::string& name);
    Verdict restore(const std::string& name, Timeline& timeline, Clock::time_point deadline);
    /// Until it ended by itself, and how.
    Verdict wait(const std::string& name, Clock::time_point deadline, std::optional<End>& end);

    /// Where the next console step of a machine begins to listen; of the log, in bytes.
    std::size_t& heard(const std::string& name) { return heard_[name]; }

private:
    Verdict perform(std::vector<Action> actions, Timeline& timeline, Clock::time_point deadline);
    Verdict perform_some(const std::vector<Action>& actions);
    template <typename Act> Verdict control(const std::string& name, Act act);
    std::optional<Verdict> ended(const std::string& name, bool (*runs)(const MachineStatus& status));
    Verdict await(const std::string& name, const std::string& runtime_dir, std::int64_t timeout_ms,
                  Clock::time_point deadline);

    Plan plan_;
    HostFacts facts_;
    std::vector<ImageCopy> copies_;
    LinuxHost host_;
    std::set<std::string> up_;
    std::set<std::string> booted_; ///< `up_` when all were ready
    std::map<std::string, std::size_t> heard_;
};

/// Bytes that its console has said, by its log.
std::size_t console_size(const VmPlan& vm);
/// The last lines of a machine's console, fit for a terminal.
std::string console_end(const VmPlan& vm);

} // namespace microvmc::testkit
