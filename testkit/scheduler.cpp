#include "testkit/scheduler.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/machine_relay.h"
#include "runtime/snapshot.h"
#include "testkit/machines.h"
#include "testkit/planning.h"
#include "testkit/scratch.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <new>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

namespace microvmc::testkit {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds grace{60'000}; ///< that a worker gets beyond its case's time, to find out and to say why
constexpr int tick_ms = 100;
constexpr milliseconds image_time{10'000}; ///< that reading one more file gets, on a host that has much to do
constexpr std::size_t batch = 24;          ///< cases whose images that are read at once, whatever else could go on

/// Makes the plan that of the snapshot's machine in this place: what its guest knows is as it was, but for ports of the
/// host, which it doesn't see.
void place_snapshot(Plan& plan, const std::string& snapshot) {
    VmPlan& own = plan.vms.front();
    VmPlan placed = placed_at(read_snapshot(snapshot), own.state_dir, own.runtime_dir);
    for (std::size_t i = 0; i < placed.interfaces.size() && i < own.interfaces.size(); ++i) {
        auto& forwards = placed.interfaces[i].forwards;
        for (std::size_t j = 0; j < forwards.size() && j < own.interfaces[i].forwards.size(); ++j) {
            forwards[j].host_port = own.interfaces[i].forwards[j].host_port;
        }
    }
    own = std::move(placed);
}

Shared* make_shared_memory() {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) { throw Error("there is no memory left"); }
    return new (memory) Shared;
}

bool has_failed(Outcome outcome) {
    switch (outcome) {
    case Outcome::passed:
    case Outcome::skipped: return false;
    case Outcome::wrong:
    case Outcome::panic:
    case Outcome::crash:
    case Outcome::hang:
    case Outcome::error: return true;
    }
    return true;
}

} // namespace

Scheduler::Scheduler(const Specs& specs, const std::vector<Target>& targets, const RunOptions& options, HostFacts facts,
                     Progress& progress, Workspace& workspace)
    : specs_(specs), targets_(targets), options_(options), facts_(std::move(facts)), progress_(progress),
      workspace_(workspace), capacity_(host_capacity(options.interactive ? 1 : options.jobs)),
      shared_(make_shared_memory()),
      deadline_(options.run_timeout_ms == 0 ? Clock::time_point::max()
                                            : Clock::now() + milliseconds(options.run_timeout_ms)) {}

void Scheduler::set_result(std::size_t slot, CaseResult result) {
    if (results_.size() <= slot) { results_.resize(slot + 1); }
    progress_.finished(result);
    results_[slot] = std::move(result);
}

std::vector<CaseResult> Scheduler::carry_out(std::vector<Group> groups, std::size_t slots) {
    results_.resize(slots);
    pending_ = std::move(groups);
    machine::Signals signals;
    while (!idle()) {
        begin_what_fits();
        if (should_read()) { begin_reading(); }
        if (idle()) { break; }
        wait(signals);
        check_deadlines();
        if (!terminal_taken_) { progress_.tick(); }
    }
    skip_what_was_not_begun();
    std::vector<CaseResult> results;
    for (auto& result : results_) { results.push_back(std::move(*result)); }
    return results;
}

bool Scheduler::idle() const {
    const bool nothing_to_begin = pending_.empty() || !stopped_.empty();
    return nothing_to_begin && running_.empty() && !reading_ && suspended_.empty() && resumable_.empty();
}

void Scheduler::begin_what_fits() {
    while (busy() < capacity_.jobs && !resumable_.empty()) {
        Suspended next = std::move(resumable_.front());
        resumable_.erase(resumable_.begin());
        resume(std::move(next));
    }
    while (stopped_.empty()) {
        std::vector<const Group*> groups;
        for (const Running& each : running_) { groups.push_back(&each.job.group); }
        std::vector<const Group*> waiting;
        for (const Suspended& each : suspended_) { waiting.push_back(&each.job.group); }
        for (const Suspended& each : resumable_) { waiting.push_back(&each.job.group); }
        if (reading_) {
            for (const Suspended& each : reading_->cases) { waiting.push_back(&each.job.group); }
        }
        Capacity capacity = capacity_;
        if (reading_ && capacity.jobs > 0) { --capacity.jobs; }
        const auto next = next_group(pending_, groups, waiting, capacity);
        if (!next) { return; }
        Group group = std::move(pending_[*next]);
        pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(*next));
        begin(std::move(group));
    }
}

// Plans the group's machines under a project of their own, and gives them to a worker.
void Scheduler::begin(Group group) {
    const Run first = group.runs.front();
    const Case& which = case_of(first);
    const Target& target = targets_[first.target];
    Job job;
    job.group = std::move(group);
    job.project = workspace_.project(projects_++);
    job.facts = facts_;
    Planning planning;
    try {
        if (which.apart) { planning.verdict = prepare(which, target, job); }
        if (planning.verdict.outcome == Outcome::passed) {
            const Config written = placed(which.config, job.scratch);
            job.ports = ports_.take(open_ports(written));
            job.copies = images_to_copy(written, job.facts, job.project);
            planning = plan_case(which, target, config_for(written, target, job.ports), job.copies, specs_.sources,
                                 job.facts, job.project);
            if (which.apart) { check_kernels(planning, kernels_, job.facts); }
        }
        if (planning.plan) {
            job.plan = std::move(*planning.plan);
            for (const ImageCopy& copy : job.copies) { job.facts.paths[copy.to] = job.facts.paths.at(copy.from); }
            if (!job.group.snapshot.empty()) { place_snapshot(job.plan, job.group.snapshot); }
            if (job.group.isolated && job.group.runs.size() > 1) {
                job.new_snapshot = fmt::format("{}/snapshots/{}", workspace_.where().state, job.project);
            }
            launch(std::move(job));
            return;
        }
    } catch (const Error& error) { planning.verdict = {Outcome::error, printable(error.what())}; }
    for (const Run& run : job.group.runs) {
        CaseState state = beginning(case_of(run), job.scratch);
        if (!planning.details.empty()) { state.timeline.push_back({0, planning.details}); }
        finished(run, make_result(subject(run), planning.verdict, planning.where, state, nullptr, job.facts));
    }
    remove(job);
}

// The directory of a case of its own, what is made there, and what the host is like then.
Verdict Scheduler::prepare(const Case& which, const Target& target, Job& job) {
    job.scratch = workspace_.make_scratch(job.project);
    const Config written = placed(which.config, job.scratch);
    const auto look = [&] { job.facts = facts_for({&written}, {target}, workspace_.where()); };
    look();
    // What the host can't do whatever is prepared is found out before.
    const Planning tried =
        plan_case(which, target, config_for(written, target), {}, specs_.sources, job.facts, job.project);
    if (tried.verdict.outcome == Outcome::skipped) { return tried.verdict; }
    Verdict verdict =
        run_on_host(which.prepare, beginning(which, job.scratch).variables, directory_of(which, specs_.sources));
    if (verdict.outcome != Outcome::passed) {
        verdict.message.insert(0, "prepare: ");
        return verdict;
    }
    look();
    return {};
}

void Scheduler::remove(const Job& job) {
    workspace_.remove_project(job.project);
    if (job.scratch.empty() || workspace_.is_kept(job.project)) { return; }
    const Case& which = case_of(job.group.runs.front());
    // What it can't take away is no fault of the case's, which has its result.
    run_on_host(which.cleanup, beginning(which, job.scratch).variables, directory_of(which, specs_.sources));
    workspace_.remove_scratch(job.project);
}

void Scheduler::resume(Suspended suspended) {
    Job job = std::move(suspended.job);
    job.group.runs = {job.group.runs[suspended.index]};
    job.resumed = std::move(suspended.state);
    launch(std::move(job));
}

void Scheduler::launch(Job job) {
    const WorkerContext context{specs_, targets_, options_, *shared_, -1};
    const std::size_t count = job.group.runs.size();
    ChildProcess process([&](int events) {
        WorkerContext own = context;
        own.events = events;
        work(job, own);
    });
    running_.push_back({.job = std::move(job),
                        .process = std::move(process),
                        .said = {},
                        .current = {},
                        .told = std::vector<bool>(count, false)});
}

// Launching what reads takes longer than reading: it is done once for many, and when nothing else can go on.
bool Scheduler::should_read() const {
    if (suspended_.empty() || reading_) { return false; }
    const auto reads = [](const Group& group) { return group.reads_volumes; };
    const bool more_come = (stopped_.empty() && std::ranges::any_of(pending_, reads)) ||
                           std::ranges::any_of(running_, [&](const Running& each) { return reads(each.job.group); });
    if (suspended_.size() >= batch) { return true; }
    // With a place free, what is left to begin waits for what the suspended ones have on the host.
    const bool blocks = stopped_.empty() && !pending_.empty();
    return (!more_come || blocks) && (busy() < capacity_.jobs || running_.empty());
}

void Scheduler::begin_reading() {
    std::vector<FileRequest> requests;
    std::vector<Suspended> cases;
    std::vector<std::size_t> counts;
    for (Suspended& each : suspended_) {
        const Run& run = each.job.group.runs[each.index];
        try {
            const std::vector<FileRequest> wanted = requests_of(each, case_of(run));
            requests.insert(requests.end(), wanted.begin(), wanted.end());
            counts.push_back(wanted.size());
            cases.push_back(std::move(each));
        } catch (const Error& error) {
            fail(run, Outcome::error, step_prefix(each.state.next) + printable(error.what()), each.state, &each.job);
            remove(each.job);
        }
    }
    suspended_.clear();
    if (cases.empty()) { return; }
    DiskOptions options;
    options.emulate = facts_.kvm.state != KvmState::works;
    options.timeout += image_time * requests.size();
    ChildProcess process([&](int events) {
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr); // programs that it starts are ended by signals
        const std::string bytes = to_bytes(read_from_images(requests, options));
        for (std::size_t done = 0; done < bytes.size();) {
            const ssize_t count = ::write(events, bytes.data() + done, bytes.size() - done);
            if (count < 0 && errno != EINTR) { return; }
            if (count > 0) { done += static_cast<std::size_t>(count); }
        }
    });
    reading_.emplace(Reading{std::move(process), {}, std::move(cases), std::move(counts)});
}

void Scheduler::wait(machine::Signals& signals) {
    std::vector<pollfd> waits{{signals.fd(), POLLIN, 0}};
    for (const Running& each : running_) { waits.push_back({each.process.fd(), POLLIN, 0}); }
    if (reading_) { waits.push_back({reading_->process.fd(), POLLIN, 0}); }
    if (::poll(waits.data(), waits.size(), tick_ms) <= 0) { return; }
    if (signals.next() != 0) { return end_all(Outcome::error, "interrupted"); }
    std::size_t i = 1;
    for (auto each = running_.begin(); each != running_.end();) {
        const auto current = each++;
        if (waits[i++].revents == 0) { continue; }
        const bool more = current->process.read(current->said);
        take_lines(*current);
        if (!more) { ended(current); }
    }
    if (reading_ && i < waits.size() && waits[i].revents != 0 && !reading_->process.read(reading_->said)) {
        reading_ended();
    }
}

void Scheduler::take_lines(Running& running) {
    for (std::size_t end = 0; (end = running.said.find('\n')) != std::string::npos;) {
        const std::string line = running.said.substr(0, end);
        running.said.erase(0, end + 1);
        take_event(running, line);
    }
}

void Scheduler::take_event(Running& running, const std::string& line) {
    const nlohmann::json event = nlohmann::json::parse(line);
    if (event.contains("terminal")) {
        terminal_taken_ = event["terminal"].get<bool>();
        running.deadline = Clock::time_point::max();
    } else if (event.contains("started")) {
        running.current = event["started"].get<std::size_t>();
        running.deadline = Clock::now() + milliseconds(event.at("within-ms").get<std::int64_t>()) + grace;
        const Run& run = running.job.group.runs[*running.current];
        if (running.job.resumed) { return; }
        progress_.started({case_of(run).spec, case_of(run).name, targets_[run.target].name()});
    } else if (event.contains("finished")) {
        const auto index = event["finished"].get<std::size_t>();
        running.told[index] = true;
        running.current.reset();
        running.deadline = Clock::time_point::max();
        running.kept = running.kept || event.at("kept").get<bool>();
        finished(running.job.group.runs[index], event.at("result").get<CaseResult>());
    } else if (event.contains("snapshot")) {
        const auto snapshot = event["snapshot"].get<std::string>();
        for (std::size_t i = 0; i < running.told.size(); ++i) {
            if (running.told[i] || running.current == i) { continue; }
            running.told[i] = true;
            const Run& run = running.job.group.runs[i];
            Group& group = pending_.emplace_back(lone_group(run, case_of(run)));
            group.snapshot = snapshot;
        }
    } else if (event.contains("suspended")) {
        const auto index = event["suspended"].get<std::size_t>();
        running.told[index] = true;
        running.current.reset();
        running.deadline = Clock::time_point::max();
        running.waits = true;
        suspended_.push_back({running.job, index, event.at("state").get<CaseState>()});
        suspended_.back().job.resumed.reset();
    }
}

// What it didn't speak of is begun anew, by another; what it was at is its fault, or was the fault of its machines.
void Scheduler::ended(std::list<Running>::iterator running) {
    const std::string how = running->process.reap();
    const Job& job = running->job;
    if (running->current) {
        const Run& run = job.group.runs[*running->current];
        running->told[*running->current] = true;
        const bool late = Clock::now() >= running->deadline;
        fail(run, late ? Outcome::hang : Outcome::error,
             late ? "it came to no end in its time, and was killed"
                  : fmt::format("the process that ran it {}", how.empty() ? "ended" : how),
             job.resumed.value_or(beginning(case_of(run), job.scratch)), &job);
    }
    std::vector<Run> left;
    for (std::size_t i = 0; i < job.group.runs.size(); ++i) {
        if (!running->told[i]) { left.push_back(job.group.runs[i]); }
    }
    take_back(left, job.group);
    if (running->kept) {
        workspace_.keep_project(job.project);
    } else if (!running->waits) {
        remove(job);
    }
    running_.erase(running);
}

void Scheduler::take_back(const std::vector<Run>& runs, const Group& group) {
    if (runs.empty()) { return; }
    Group rest = group;
    rest.runs = runs;
    pending_.insert(pending_.begin(), std::move(rest));
}

void Scheduler::reading_ended() {
    Reading reading = std::move(*reading_);
    reading_.reset();
    const std::string how = reading.process.reap();
    std::vector<FileAnswer> answers;
    std::string problem;
    try {
        answers = answers_from(reading.said);
    } catch (const Error& error) {
        problem = how.empty() ? error.what() : fmt::format("the process that reads images {}", how);
    }
    auto answer = answers.begin();
    for (std::size_t i = 0; i < reading.cases.size(); ++i) {
        Suspended& each = reading.cases[i];
        const Run run = each.job.group.runs[each.index];
        const std::size_t count = reading.counts[i];
        if (static_cast<std::size_t>(answers.end() - answer) < count) {
            fail(run, Outcome::error, step_prefix(each.state.next) + printable(problem), each.state, &each.job);
            remove(each.job);
            continue;
        }
        const std::vector<FileAnswer> own(std::make_move_iterator(answer),
                                          std::make_move_iterator(answer + static_cast<std::ptrdiff_t>(count)));
        answer += static_cast<std::ptrdiff_t>(count);
        const std::optional<Carried> carried = take_answers(each, case_of(run), own);
        if (!carried) {
            const bool reads_on = std::holds_alternative<VolumeStep>(case_of(run).steps[each.state.next].what);
            (reads_on ? suspended_ : resumable_).push_back(std::move(each));
            continue;
        }
        const bool failed = has_failed(carried->verdict.outcome);
        if (failed && options_.keep) {
            workspace_.keep_project(each.job.project);
            each.state.timeline.push_back({each.state.elapsed_ms, kept_text(each.job)});
        }
        const std::string where = failed ? place_of(carried->span, specs_.sources) : "";
        finished(run, make_result(subject(run), carried->verdict, where, each.state, &each.job.plan, each.job.facts));
        remove(each.job);
    }
}

void Scheduler::fail(const Run& run, Outcome outcome, std::string message, const CaseState& state, const Job* job) {
    const Plan* const plan = job == nullptr ? nullptr : &job->plan;
    finished(run, make_result(subject(run), {outcome, std::move(message)}, {}, state, plan,
                              job == nullptr ? facts_ : job->facts));
}

void Scheduler::finished(const Run& run, CaseResult result) {
    const bool failed = has_failed(result.outcome);
    if (failed && options_.retry_failed && run.attempt == 1 && stopped_.empty()) {
        Run again = run;
        again.attempt = 2;
        pending_.push_back(lone_group(again, case_of(run)));
        results_[run.slot] = std::move(result); // when it never comes to the second
        return;
    }
    progress_.finished(result);
    results_[run.slot] = std::move(result);
    if (failed && options_.fail_fast && stopped_.empty()) {
        stopped_ = fmt::format("not begun: {} failed, and --fail-fast was given", results_[run.slot]->id());
        stop();
    }
}

void Scheduler::check_deadlines() {
    if (Clock::now() >= deadline_) {
        deadline_ = Clock::time_point::max();
        return end_all(Outcome::hang,
                       fmt::format("the {} of the run are over", format_duration(options_.run_timeout_ms)));
    }
    for (Running& each : running_) {
        if (Clock::now() >= each.deadline) { each.process.kill(); } // its pipe's end tells
    }
}

void Scheduler::stop() {
    shared_->stop = true;
}

// Everything ends now.
void Scheduler::end_all(Outcome outcome, const std::string& why) {
    stopped_ = "not begun: " + why;
    stop();
    const auto give_up = [&](const Run& run, const CaseState& state, const Job& job) {
        results_[run.slot] = make_result(subject(run), {outcome, why}, {}, state, &job.plan, job.facts);
        progress_.finished(*results_[run.slot]);
    };
    for (Running& each : running_) {
        each.process.kill();
        each.process.reap();
        std::vector<Run> left;
        for (std::size_t i = 0; i < each.told.size(); ++i) {
            const Run& run = each.job.group.runs[i];
            if (each.current == i) {
                give_up(run, each.job.resumed.value_or(beginning(case_of(run), each.job.scratch)), each.job);
            } else if (!each.told[i]) {
                left.push_back(run);
            }
        }
        take_back(left, each.job.group);
        if (!each.waits) { remove(each.job); }
    }
    running_.clear();
    if (reading_) {
        for (Suspended& each : reading_->cases) { suspended_.push_back(std::move(each)); }
        reading_.reset();
    }
    for (auto* waiting : {&suspended_, &resumable_}) {
        for (Suspended& each : *waiting) {
            give_up(each.job.group.runs[each.index], each.state, each.job);
            remove(each.job);
        }
        waiting->clear();
    }
}

void Scheduler::skip_what_was_not_begun() {
    for (const Group& group : pending_) {
        for (const Run& run : group.runs) {
            auto& result = results_[run.slot];
            if (!result) {
                result = CaseResult{};
                result->spec = case_of(run).spec;
                result->name = case_of(run).name;
                result->target = targets_[run.target].name();
                result->outcome = Outcome::skipped;
                result->message = stopped_;
            }
            progress_.finished(*result);
        }
    }
    pending_.clear();
}

} // namespace microvmc::testkit
