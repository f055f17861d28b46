#pragma once

#include "runtime/machine_relay.h"
#include "testkit/capacity.h"
#include "testkit/child.h"
#include "testkit/job.h"
#include "testkit/kernel_check.h"
#include "testkit/ports.h"
#include "testkit/reading.h"
#include "testkit/run.h"
#include "testkit/worker.h"
#include "testkit/workspace.h"

#include <list>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// The parent of all workers: one thread that begins groups as there is room, takes what workers say, has volumes read
/// when nothing else can go on, and cleans up behind everybody.
class Scheduler {
public:
    Scheduler(const Specs& specs, const std::vector<Target>& targets, const RunOptions& options, HostFacts facts,
              Progress& progress, Workspace& workspace);

    /// Carries all groups out; the results are by Run::slot. `slots`: how many there are.
    std::vector<CaseResult> carry_out(std::vector<Group> groups, std::size_t slots);
    /// A result that is known without carrying anything out.
    void set_result(std::size_t slot, CaseResult result);

private:
    struct Running {
        Job job;
        ChildProcess process;
        std::string said;                   ///< less than a line
        std::optional<std::size_t> current; ///< the run that it is at
        std::vector<bool> told;             ///< by run: finished or suspended
        Clock::time_point deadline = Clock::time_point::max();
        bool waits = false; ///< its last case waits for a volume, which needs its project
        bool kept = false;  ///< its project stays as it is
    };
    struct Reading {
        ChildProcess process;
        std::string said;
        std::vector<Suspended> cases;
        std::vector<std::size_t> counts; ///< of requests, by case
    };

    [[nodiscard]] bool idle() const;
    [[nodiscard]] std::size_t busy() const { return running_.size() + (reading_ ? 1 : 0); }
    void begin_what_fits();
    void begin(Group group);
    Verdict prepare(const Case& which, const Target& target, Job& job);
    void remove(const Job& job);
    void resume(Suspended suspended);
    void launch(Job job);
    void begin_reading();
    [[nodiscard]] bool should_read() const;
    void wait(machine::Signals& signals);
    void take_lines(Running& running);
    void take_event(Running& running, const std::string& line);
    void ended(std::list<Running>::iterator running);
    void reading_ended();
    void check_deadlines();
    void end_all(Outcome outcome, const std::string& why);
    void stop();
    void fail(const Run& run, Outcome outcome, std::string message, const CaseState& state, const Job* job);
    void finished(const Run& run, CaseResult result);
    void take_back(const std::vector<Run>& runs, const Group& group);
    void skip_what_was_not_begun();
    [[nodiscard]] const Case& case_of(const Run& run) const { return specs_.cases[run.which_case]; }
    [[nodiscard]] Subject subject(const Run& run) const { return subject_of(run, specs_, targets_, options_); }

    const Specs& specs_;
    const std::vector<Target>& targets_;
    const RunOptions& options_;
    HostFacts facts_;
    Progress& progress_;
    Workspace& workspace_;
    Capacity capacity_;
    Ports ports_;
    KernelConfigs kernels_;
    Shared* shared_; ///< in memory that workers share
    std::size_t projects_ = 0;
    std::vector<Group> pending_;
    std::vector<Suspended> resumable_;
    std::vector<Suspended> suspended_;
    std::list<Running> running_;
    std::optional<Reading> reading_;
    std::vector<std::optional<CaseResult>> results_;
    Clock::time_point deadline_; ///< of all of it
    std::string stopped_;        ///< why nothing new is begun; empty: it is
    bool terminal_taken_ = false;
};

} // namespace microvmc::testkit
