#include "testkit/worker.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "testkit/enter.h"
#include "testkit/machines.h"
#include "testkit/scratch.h"
#include "testkit/workspace.h"

#include <cerrno>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace microvmc::testkit {

std::string kept_text(const Job& job) {
    return fmt::format("kept: MICROVMC_STATE_DIR={} MICROVMC_RUNTIME_DIR={} microvmc status -p {}",
                       shell_quoted(job.facts.state_dir), shell_quoted(job.facts.runtime_dir), job.project);
}

namespace {

class Worker {
public:
    Worker(const Job& job, const WorkerContext& context) : job_(job), context_(context) {}

    void work() {
        for (std::size_t i = 0; i < job_.group.runs.size() && !kept_; ++i) {
            if (context_.shared.stop && !job_.resumed) { break; }
            carry_out(i);
            if (suspended_ || saved_) { break; } // the others, if there are any, are no longer its own
        }
        if (!suspended_ && !kept_) { remove_all(); }
    }

private:
    void tell(const nlohmann::json& json) const {
        const std::string line = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
        for (std::size_t done = 0; done < line.size();) {
            const ssize_t count = ::write(context_.events, line.data() + done, line.size() - done);
            if (count < 0 && errno != EINTR) { return; } // the parent is gone, and this process soon is
            if (count > 0) { done += static_cast<std::size_t>(count); }
        }
    }

    void carry_out(std::size_t index) {
        const Run& run = job_.group.runs[index];
        const Subject subject = subject_of(run, context_.specs, context_.targets, context_.options);
        const std::int64_t timeout_ms = timeout_of(subject.which, subject.target, context_.options);
        CaseState state = job_.resumed.value_or(beginning(subject.which, job_.scratch));
        state.variables.merge(environment_for(subject.target));
        tell({{"started", index}, {"within-ms", timeout_ms - state.elapsed_ms}});
        Timeline timeline(state.elapsed_ms, state.timeline);
        Carried carried;
        try {
            carried = carry_out(subject, state, timeline, timeout_ms);
        } catch (const std::exception& error) {
            carried = {Carried::Kind::finished, {Outcome::error, printable(error.what())}, {}};
        }
        state.elapsed_ms = timeline.elapsed_ms();
        state.timeline = timeline.entries();
        if (carried.kind == Carried::Kind::wants_volume) {
            state.up = machines_->up();
            suspended_ = true;
            tell({{"suspended", index}, {"state", state}});
            return;
        }
        finish(index, subject, carried, state);
    }

    Carried carry_out(const Subject& subject, CaseState& state, Timeline& timeline, std::int64_t timeout_ms) {
        const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms - state.elapsed_ms);
        Verdict verdict = get_machines(state, timeline, deadline);
        if (verdict.outcome != Outcome::passed) {
            timeline.add(verdict.message);
            return {Carried::Kind::finished, std::move(verdict), {}};
        }
        return carry_on(subject.which, state, *machines_, timeline, directory_of(subject.which, context_.specs.sources),
                        [this](const Config& config, const Observed& observed, HostFacts& facts) {
                            return plan_again(config, observed, facts);
                        },
                        {.timeout_ms = timeout_ms, .patience = patience_of(subject.target)});
    }

    /// By what the host is like now.
    Planning plan_again(const Config& config, const Observed& observed, HostFacts& facts) const {
        const Target& target = context_.targets[job_.group.runs.front().target];
        const Config written = placed(config, job_.scratch);
        facts = facts_for({&written}, {target}, {.state = facts.state_dir, .runtime = facts.runtime_dir}, job_.project);
        return plan_machines(config_for(written, target, job_.ports), target, context_.specs.sources, facts,
                             job_.project, observed);
    }

    void finish(std::size_t index, const Subject& subject, const Carried& carried, CaseState& state) {
        const bool failed = carried.verdict.outcome != Outcome::passed;
        kept_ = failed && context_.options.keep;
        if (kept_) { state.timeline.push_back({state.elapsed_ms, kept_text(job_)}); }
        const Span span = carried.span.known() ? carried.span : place_of_case(subject.which);
        const std::string where = failed ? place_of(span, context_.specs.sources) : "";
        CaseResult result = make_result(subject, carried.verdict, where, state, &job_.plan, job_.facts);
        if (failed && context_.options.interactive) {
            tell({{"terminal", true}});
            enter(result, job_.plan);
            tell({{"terminal", false}});
        }
        tell({{"finished", index}, {"result", result}, {"kept", kept_}});
        if (failed && !kept_) { abandon(); }
    }

    static Span place_of_case(const Case& which) { return which.steps.empty() ? Span{} : which.steps.front().span; }

    /// Those of the case before when they are all as they ought to be, else new ones.
    Verdict get_machines(CaseState& state, Timeline& timeline, Clock::time_point deadline) {
        if (job_.resumed) {
            machines_.emplace(state.plan.value_or(job_.plan), job_.facts, job_.copies);
            machines_->resume(state.up);
            return {};
        }
        if (machines_ && !job_.group.isolated && !machines_->fallen() && machines_->all_up()) { return {}; }
        abandon();
        machines_.emplace(job_.plan, job_.facts, job_.copies);
        const std::string& snapshot = job_.group.snapshot;
        const Verdict verdict =
            snapshot.empty() ? machines_->boot(timeline, deadline) : machines_->boot_from(snapshot, timeline, deadline);
        state.boot_ms = timeline.elapsed_ms();
        if (verdict.outcome == Outcome::passed && !job_.new_snapshot.empty()) { save(timeline); }
        return verdict;
    }

    /// For the isolated cases behind this one.
    void save(Timeline& timeline) {
        const std::string why = machines_->save_to(job_.new_snapshot);
        timeline.add(why.empty() ? "snapshot taken" : fmt::format("no snapshot: {}", why));
        tell({{"snapshot", why.empty() ? job_.new_snapshot : ""}});
        saved_ = true;
    }

    /// What a failed case leaves is no good for the next.
    void abandon() {
        if (!machines_) { return; }
        remove_all();
        machines_.reset();
    }

    void remove_all() const {
        try {
            destroy_project({.state = job_.facts.state_dir, .runtime = job_.facts.runtime_dir}, job_.project);
        } catch (const Error&) {
            // The parent tries again.
        }
    }

    const Job& job_;
    const WorkerContext& context_;
    std::optional<Machines> machines_;
    bool suspended_ = false;
    bool saved_ = false;
    bool kept_ = false;
};

} // namespace

std::int64_t timeout_of(const Case& which, const Target& target, const RunOptions& options) {
    return options.timeout_ms > 0 ? options.timeout_ms : which.timeout_ms * patience_of(target);
}

Subject subject_of(const Run& run, const Specs& specs, const std::vector<Target>& targets, const RunOptions& options) {
    return {.which = specs.cases[run.which_case],
            .target = targets[run.target],
            .sources = specs.sources,
            .round = run.round,
            .attempt = run.attempt,
            .artifacts = options.artifacts};
}

void work(const Job& job, const WorkerContext& context) {
    Worker(job, context).work();
}

} // namespace microvmc::testkit
