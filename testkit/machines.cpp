#include "testkit/machines.h"

#include "compiler/text.h"
#include "runtime/backend.h"
#include "runtime/balloon.h"
#include "runtime/commands/machines.h"
#include "runtime/error.h"
#include "runtime/executor.h"
#include "runtime/files.h"
#include "runtime/lower.h"
#include "runtime/machine.h"
#include "runtime/machine_control.h"
#include "runtime/observe.h"
#include "runtime/paths.h"
#include "runtime/process.h"
#include "runtime/snapshot.h"
#include "runtime/stats.h"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>
#include <thread>
#include <variant>

namespace microvmc::testkit {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t console_lines = 40;
constexpr const char* snapshot_name = "case";
constexpr milliseconds dying{10'000}; ///< a panic has 5 s until its VMM is killed (supervisor)

milliseconds left_until(Clock::time_point deadline) {
    return std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(0));
}

/// The first line, less what undoing adds.
std::string first_line(std::string_view text) {
    return printable(text.substr(0, text.find('\n')));
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

/// Adds what a VMM that could not be started said last, when the message has it not.
std::string with_last_words(std::string message, const Launch& launch) {
    constexpr std::size_t lines_looked_at = 20;
    std::istringstream lines(tail(launch.vmm_log, lines_looked_at));
    std::string last;
    for (std::string line; std::getline(lines, line);) {
        if (line.find(" supervisor: ") == std::string::npos && !line.empty()) { last = printable(line); }
    }
    if (!last.empty() && message.find(last) == std::string::npos) { message += ": " + last; }
    return message;
}

/// Sparse, and its data shared where the file system can.
void copy_image(const ImageCopy& copy) {
    make_directories(parent_of(copy.to), 0700);
    const Ran ran = run_program({"cp", "--sparse=always", "--reflink=auto", "--", copy.from, copy.to},
                                {.input = {}, .cwd = {}, .timeout = std::chrono::minutes(10), .inherit = {}});
    if (ran.status != 0) { throw Error(fmt::format("can't copy {}: {}", copy.from, last_words(ran))); }
}

} // namespace

Machines::Machines(Plan plan, HostFacts facts, std::vector<ImageCopy> copies)
    : plan_(std::move(plan)), facts_(std::move(facts)), copies_(std::move(copies)), host_(supervisor_path()) {}

const VmPlan& Machines::vm(const std::string& name) const {
    const auto found = std::ranges::find(plan_.vms, name, &VmPlan::name);
    if (found == plan_.vms.end()) { throw Error(fmt::format("there is no machine {}", name)); }
    return *found;
}

Verdict Machines::boot(Timeline& timeline, Clock::time_point deadline) {
    try {
        for (const ImageCopy& copy : copies_) { copy_image(copy); }
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
    Changes changes;
    for (const VmPlan& vm : plan_.vms) {
        if (!vm.enabled) { continue; }
        changes.vms.push_back({.vm = vm.name, .kind = ChangeKind::create, .keys = {}, .summary = {}});
        heard_[vm.name] = 0;
        up_.insert(vm.name);
    }
    Verdict verdict = perform(lower(plan_, changes, {}, facts_), timeline, deadline);
    booted_ = up_;
    return verdict;
}

Verdict Machines::boot_from(const std::string& snapshot, Timeline& timeline, Clock::time_point deadline) {
    const VmPlan& plan = plan_.vms.front();
    try {
        up_ = {plan.name};
        heard_[plan.name] = 0;
        timeline.add(fmt::format("{} goes on from a snapshot", plan.name));
        Verdict verdict =
            perform(lower_restore(plan_.project, plan, read_snapshot(snapshot), {}, facts_), timeline, deadline);
        booted_ = up_;
        return verdict;
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

std::string Machines::save_to(const std::string& snapshot) {
    try {
        make_directories(parent_of(snapshot), 0700);
        take_snapshot(plan_.vms.front().runtime_dir, snapshot, {.replace = true, .sync = Sync::whenever});
        return {};
    } catch (const Error& error) { return first_line(error.what()); }
}

// Waiting is done here, where how a machine ended is known, and no more than the machine itself is taken back.
Verdict Machines::perform(std::vector<Action> actions, Timeline& timeline, Clock::time_point deadline) {
    std::vector<Action> some;
    for (Action& action : actions) {
        if (const auto* ready = std::get_if<AwaitReady>(&action)) {
            timeline.add(fmt::format("boot {}", ready->vm));
            Verdict verdict = perform_some(some);
            some.clear();
            if (verdict.outcome == Outcome::passed) {
                verdict = await(ready->vm, ready->runtime_dir, ready->timeout_ms, deadline);
            }
            if (verdict.outcome != Outcome::passed) { return verdict; }
            timeline.add(fmt::format("{} is ready", ready->vm));
        } else {
            some.push_back(std::move(action));
        }
    }
    return perform_some(some);
}

Verdict Machines::perform_some(const std::vector<Action>& actions) {
    const StartMachine* starting = nullptr;
    microvmc::Progress told;
    told.begin = [&](const Action& action) { starting = std::get_if<StartMachine>(&action); };
    try {
        microvmc::perform(actions, host_, told);
        return {};
    } catch (const TimeoutError& error) {
        return {starting != nullptr ? Outcome::hang : Outcome::error, first_line(error.what())};
    } catch (const std::exception& error) {
        if (starting == nullptr) { return {Outcome::error, first_line(error.what())}; }
        return {Outcome::crash, with_last_words(first_line(error.what()), starting->launch)};
    }
}

Verdict Machines::await(const std::string& name, const std::string& runtime_dir, std::int64_t timeout_ms,
                        Clock::time_point deadline) {
    const milliseconds time = std::min(milliseconds(timeout_ms), left_until(deadline));
    try {
        const AwaitOutcome outcome = await_machine(runtime_dir, Goal::ready, time);
        switch (outcome.kind) {
        case AwaitOutcome::Kind::reached:
            if (outcome.end) { up_.erase(name); } // its end was what ready meant
            return {};
        case AwaitOutcome::Kind::ended:
            if (outcome.end) { return verdict_of(name, *outcome.end); }
            break;
        case AwaitOutcome::Kind::not_running: break;
        case AwaitOutcome::Kind::timed_out:
            return {Outcome::hang, fmt::format("{} was not ready within {}: waiting for {}", name,
                                               format_duration(time.count()), printable(outcome.waiting_for))};
        }
        return {Outcome::crash, fmt::format("{} is gone, and nothing says how", name)};
    } catch (const TimeoutError& error) {
        return {Outcome::hang, first_line(error.what())};
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

std::optional<Verdict> Machines::fallen() {
    for (const std::string& name : std::set(up_)) {
        if (auto verdict = ended(name)) { return verdict; }
    }
    return std::nullopt;
}

std::optional<Verdict> Machines::ended(const std::string& name) {
    return ended(name, [](const MachineStatus&) { return true; });
}

std::optional<Verdict> Machines::ended_or_back(const std::string& name) {
    return ended(name, [](const MachineStatus& status) { return status.agent; });
}

std::optional<Verdict> Machines::ended(const std::string& name, bool (*runs)(const MachineStatus& status)) {
    const std::string& runtime_dir = vm(name).runtime_dir;
    try {
        for (const auto deadline = Clock::now() + dying;; std::this_thread::sleep_for(20ms)) {
            const std::optional<MachineStatus> status = machine_status(runtime_dir);
            if (!status) { break; }
            const bool up = status->vmm != 0 && status->state != MachineState::stopping;
            if (up && (runs(*status) || Clock::now() >= deadline)) { return std::nullopt; }
            if (Clock::now() >= deadline) { return Verdict{Outcome::hang, fmt::format("{} doesn't end", name)}; }
        }
        up_.erase(name);
        const std::optional<End> end = last_end(runtime_dir);
        if (end) { return verdict_of(name, *end); }
        return Verdict{Outcome::crash, fmt::format("{} is gone, and its supervisor with it", name)};
    } catch (const Error& error) { return Verdict{Outcome::error, first_line(error.what())}; }
}

Verdict Machines::start(const std::string& name, Timeline& timeline, Clock::time_point deadline) {
    try {
        const Observed observed = observe(facts_.state_dir, facts_.runtime_dir, plan_.project);
        up_.insert(name);
        heard_[name] = console_size(vm(name));
        return perform(lower_start(plan_.project, vm(name), observed, facts_), timeline, deadline);
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

Verdict Machines::autostart(const std::string& name, Timeline& timeline, Clock::time_point deadline) {
    for (const auto& machines : autostarted_machines({.state = facts_.state_dir, .runtime = facts_.runtime_dir})) {
        const bool is_one = std::ranges::any_of(machines, [&](const KnownMachine& machine) {
            return machine.project == plan_.project && machine.name == name;
        });
        if (is_one) { return start(name, timeline, deadline); }
    }
    return {Outcome::wrong, fmt::format("{} isn't started with the host", name)};
}

Verdict Machines::stop(const std::string& name, Timeline& timeline, Clock::time_point deadline) {
    const VmPlan& plan = vm(name);
    const milliseconds time = std::min(milliseconds(plan.shutdown_timeout_ms), left_until(deadline));
    try {
        const StopOutcome outcome =
            host_.stop_machine({.vm = name, .runtime_dir = plan.runtime_dir, .timeout_ms = time.count()});
        up_.erase(name);
        timeline.add(fmt::format("{} {}", name, printable(outcome.detail)));
        const std::optional<End> end = last_end(plan.runtime_dir);
        switch (outcome.kind) {
        case StopOutcome::Kind::was_not_running:
            return end ? verdict_of(name, *end) : Verdict{Outcome::wrong, fmt::format("{} didn't run", name)};
        case StopOutcome::Kind::graceful:
            if (end && end->kind != End::Kind::poweroff && end->kind != End::Kind::exited) {
                return verdict_of(name, *end);
            }
            return {};
        case StopOutcome::Kind::killed:
            if (end && end->kind == End::Kind::panic) { return verdict_of(name, *end); }
            return {Outcome::wrong, fmt::format("{} {}", name, printable(outcome.detail))};
        }
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
    return {};
}

Verdict Machines::kill(const std::string& name) {
    try {
        const StopOutcome outcome = stop_machine(vm(name).runtime_dir, milliseconds(0), StopKind::kill);
        up_.erase(name);
        if (outcome.kind != StopOutcome::Kind::was_not_running) { return {}; }
        const std::optional<End> end = last_end(vm(name).runtime_dir);
        return end ? verdict_of(name, *end) : Verdict{Outcome::wrong, fmt::format("{} didn't run", name)};
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

Verdict Machines::reboot(const std::string& name, Clock::time_point deadline) {
    const VmPlan& plan = vm(name);
    try {
        const std::optional<MachineStatus> before = machine_status(plan.runtime_dir);
        if (!before) { return ended(name).value_or(Verdict{Outcome::wrong, fmt::format("{} doesn't run", name)}); }
        try {
            // It may be gone before its status is told.
            run_in_machine(plan.runtime_dir, {.argv = {"reboot"}, .env = {}, .workdir = {}, .tty = false},
                           {.input = {}, .timeout = left_until(deadline)});
        } catch (const Error&) {}
        for (;; std::this_thread::sleep_for(20ms)) {
            const std::optional<MachineStatus> now = machine_status(plan.runtime_dir);
            if (!now) { return ended(name).value_or(Verdict{Outcome::crash, fmt::format("{} is gone", name)}); }
            if (now->reboots > before->reboots) { break; }
            if (Clock::now() >= deadline) {
                return {Outcome::hang, fmt::format("{} was told to reboot, and didn't", name)};
            }
        }
        return await(name, plan.runtime_dir, plan.startup_timeout_ms, deadline);
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

Verdict Machines::wait(const std::string& name, Clock::time_point deadline, std::optional<End>& end) {
    try {
        const AwaitOutcome outcome = await_machine(vm(name).runtime_dir, Goal::end, left_until(deadline));
        end = outcome.end;
        if (!end && outcome.kind == AwaitOutcome::Kind::timed_out) {
            return {Outcome::hang, fmt::format("{} didn't end", name)};
        }
        up_.erase(name);
        if (end) { return {}; }
        return {Outcome::crash, fmt::format("{} is gone, and nothing says how", name)};
    } catch (const TimeoutError& error) {
        return {Outcome::hang, first_line(error.what())};
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

// What its VMM refuses, or its guest doesn't do, is not as it should be: the traits claim that it can.
template <typename Act> Verdict Machines::control(const std::string& name, Act act) {
    try {
        const std::optional<MachineStatus> status = machine_status(vm(name).runtime_dir);
        if (!status) { return ended(name).value_or(Verdict{Outcome::wrong, fmt::format("{} doesn't run", name)}); }
        return act(*attach_control(*status));
    } catch (const Error& error) { return {Outcome::wrong, fmt::format("{}: {}", name, first_line(error.what()))}; }
}

Verdict Machines::pause(const std::string& name) {
    return control(name, [](Control& its) {
        its.pause();
        return Verdict{};
    });
}

Verdict Machines::resume(const std::string& name) {
    return control(name, [&](Control& its) {
        its.resume();
        std::string why;
        if (renew_guest(vm(name).runtime_dir, why)) { return Verdict{}; }
        return Verdict{Outcome::wrong, fmt::format("the clock of {} is behind: {}", name, printable(why))};
    });
}

Verdict Machines::balloon(const std::string& name, std::uint64_t mib, Clock::time_point deadline) {
    const std::uint64_t all = vm(name).mem_mib;
    if (mib > all) { return {Outcome::error, fmt::format("{} has only {}", name, format_size(all))}; }
    return control(name, [&](Control& its) {
        set_balloon(its, all - mib, left_until(deadline));
        return Verdict{};
    });
}

Verdict Machines::stats(const std::string& name, StatsStep::What what, std::uint64_t& number) {
    try {
        const std::optional<MachineStatus> status = machine_status(vm(name).runtime_dir);
        if (!status) { return ended(name).value_or(Verdict{Outcome::wrong, fmt::format("{} doesn't run", name)}); }
        const MachineStats found = machine_stats(*status);
        switch (what) {
        case StatsStep::What::resident:
            if (!found.vmm) { break; }
            number = found.vmm->resident_bytes >> 20U;
            return {};
        case StatsStep::What::balloon:
            if (!found.control.balloon_mib) { break; }
            number = *found.control.balloon_mib;
            return {};
        }
        return {Outcome::wrong, fmt::format("nothing is known of {}", name)};
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

Verdict Machines::apply(const std::function<Planning(const Observed&, HostFacts&)>& plan, Changes& changes,
                        Timeline& timeline, Clock::time_point deadline) {
    try {
        const Observed observed = observe(facts_.state_dir, facts_.runtime_dir, plan_.project);
        HostFacts facts = facts_;
        Planning planning = plan(observed, facts);
        if (!planning.plan) { return planning.verdict; }
        Diagnostics diagnostics;
        changes = diff(*planning.plan, observed, {}, diagnostics);
        for (const Diagnostic& diagnostic : diagnostics.all()) {
            if (diagnostic.severity == Severity::error) { return {Outcome::wrong, printable(diagnostic.message)}; }
        }
        plan_ = std::move(*planning.plan);
        facts_ = std::move(facts);
        for (const VmPlan& vm : plan_.vms) {
            if (vm.enabled) {
                up_.insert(vm.name);
            } else {
                up_.erase(vm.name);
            }
        }
        return perform(lower(plan_, changes, observed, facts_), timeline, deadline);
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

Verdict Machines::snapshot(const std::string& name) {
    const VmPlan& plan = vm(name);
    try {
        make_directories(snapshots_dir(plan.state_dir), 0700);
        take_snapshot(plan.runtime_dir, snapshots_dir(plan.state_dir) + "/" + snapshot_name,
                      {.replace = true, .sync = Sync::whenever});
        return {};
    } catch (const Error& error) { return {Outcome::wrong, fmt::format("{}: {}", name, first_line(error.what()))}; }
}

Verdict Machines::restore(const std::string& name, Timeline& timeline, Clock::time_point deadline) {
    const VmPlan& plan = vm(name);
    try {
        const Snapshot from = read_snapshot(snapshots_dir(plan.state_dir) + "/" + snapshot_name);
        const Observed observed = observe(facts_.state_dir, facts_.runtime_dir, plan_.project);
        up_.insert(name);
        heard_[name] = console_size(plan);
        return perform(lower_restore(plan_.project, plan, from, observed, facts_), timeline, deadline);
    } catch (const Error& error) { return {Outcome::error, first_line(error.what())}; }
}

std::size_t console_size(const VmPlan& vm) {
    const std::optional<FileIdentity> file = file_identity(vm.state_dir + "/console.log");
    return file ? file->size : 0;
}

std::string console_end(const VmPlan& vm) {
    std::istringstream lines(tail(vm.state_dir + "/console.log", console_lines));
    std::string out;
    for (std::string line; std::getline(lines, line);) {
        while (line.ends_with('\r')) { line.pop_back(); }
        out += printable(line) + '\n';
    }
    return out;
}

} // namespace microvmc::testkit
