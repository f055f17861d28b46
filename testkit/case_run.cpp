#include "testkit/case_run.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "testkit/scratch.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <thread>
#include <variant>

namespace microvmc::testkit {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds first_pause{50};
constexpr milliseconds longest_pause{500};
constexpr milliseconds settling{
    100}; ///< until a supervisor knows that its VMM has ended, whose sockets are closed first

/// Captures are bytes, and JSON's strings are text.
std::string to_hex(std::string_view bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const char c : bytes) { text += fmt::format("{:02x}", static_cast<unsigned char>(c)); }
    return text;
}

std::string from_hex(const std::string& text) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
    }
    return bytes;
}

/// One try, judged.
struct Tried {
    Verdict verdict;
    bool again = false;
};

Tried try_once(const Step& step, const Scene& scene, Variables& variables, Clock::time_point deadline, bool first) {
    Attempt tried = attempt(step, scene, deadline, first);
    if (!tried.answer) { return {tried.verdict, tried.again}; }
    Verdict verdict = judge(step, *tried.answer, variables, scene.machines.plan());
    if (verdict.outcome == Outcome::passed && std::holds_alternative<ConsoleStep>(step.what)) {
        scene.machines.heard(step.on) = tried.heard_until;
    }
    const bool is_deed = std::holds_alternative<VmStep>(step.what) || std::holds_alternative<ApplyStep>(step.what);
    return {std::move(verdict), !is_deed}; // that was done, and is not done twice
}

/// Tries a step until it holds, its time is over, or no more tries can help.
Verdict perform(const Step& step, const Scene& scene, Variables& variables, Clock::time_point deadline, int patience) {
    const auto until =
        step.within_ms ? std::min(deadline, Clock::now() + milliseconds(*step.within_ms) * patience) : Clock::now();
    milliseconds pause = first_pause;
    for (bool first = true;; first = false) {
        const auto attempt_deadline = std::min(deadline, Clock::now() + milliseconds(step.timeout_ms) * patience);
        Tried tried = try_once(step, scene, variables, attempt_deadline, first);
        if (tried.verdict.outcome == Outcome::passed) { return {}; }
        const bool last = !tried.again || Clock::now() >= until;
        if (last) { std::this_thread::sleep_for(settling); }
        if (auto verdict = scene.machines.fallen()) { return *verdict; } // that is why
        if (last) { return tried.verdict; }
        std::this_thread::sleep_for(std::min<Clock::duration>(pause, until - Clock::now()));
        pause = std::min(pause * 2, longest_pause);
    }
}

} // namespace

CaseState beginning(const Case& which, const std::string& scratch) {
    CaseState state;
    if (!scratch.empty()) { state.variables[std::string(scratch_name)] = scratch; }
    for (const auto& [name, value] : which.axes) { state.variables[name] = value; }
    return state;
}

std::string step_prefix(std::size_t index) {
    return fmt::format("step {}: ", index + 1);
}

Verdict judge(const Step& step, const Answer& answer, Variables& variables, const Plan& plan) {
    const Lookup lookup = lookup_in(variables, plan);
    std::string found = difference(step.expect, answer, lookup);
    if (!found.empty()) { return {Outcome::wrong, std::move(found)}; }
    Captured captured = capture(step, answer, lookup);
    if (!captured.missing.empty()) { return {Outcome::wrong, std::move(captured.missing)}; }
    for (auto& [name, value] : captured.values) { variables[name] = std::move(value); }
    return {};
}

Carried carry_on(const Case& which, CaseState& state, Machines& machines, Timeline& timeline,
                 const std::string& directory, const Replan& replan, const Pace& pace) {
    const auto deadline = Clock::now() + milliseconds(pace.timeout_ms - timeline.elapsed_ms());
    const auto finished = [&](Verdict verdict, const Span& span) {
        timeline.add(verdict.outcome == Outcome::passed ? "passed" : verdict.message);
        return Carried{Carried::Kind::finished, std::move(verdict), span};
    };
    for (; state.next < which.steps.size(); ++state.next) {
        const Step& step = which.steps[state.next];
        if (std::holds_alternative<VolumeStep>(step.what)) { return {Carried::Kind::wants_volume, {}, step.span}; }
        const std::string prefix = step_prefix(state.next);
        timeline.add(prefix + describe(step));
        Verdict verdict;
        try {
            verdict = perform(step, {machines, state.variables, timeline, directory, replan}, state.variables, deadline,
                              pace.patience);
        } catch (const Error& error) { verdict = {Outcome::error, printable(error.what())}; }
        if (std::holds_alternative<ApplyStep>(step.what)) { state.plan = machines.plan(); }
        if (verdict.outcome == Outcome::passed) { continue; }
        if (Clock::now() >= deadline) {
            verdict.message += fmt::format(" (the case's {} are over)", format_duration(pace.timeout_ms));
        }
        if (verdict.outcome == Outcome::hang) { verdict.message += ": " + describe(step); }
        verdict.message.insert(0, prefix);
        return finished(std::move(verdict), step.span);
    }
    if (auto verdict = machines.fallen()) { return finished(std::move(*verdict), {}); }
    return finished({}, {});
}

void to_json(nlohmann::json& json, const CaseState& state) {
    nlohmann::json variables = nlohmann::json::object();
    for (const auto& [name, value] : state.variables) { variables[name] = to_hex(value); }
    nlohmann::json timeline = nlohmann::json::array();
    for (const TimelineEntry& entry : state.timeline) { timeline.push_back({entry.at_ms, entry.text}); }
    json = {{"next", state.next},       {"variables", std::move(variables)}, {"elapsed-ms", state.elapsed_ms},
            {"boot-ms", state.boot_ms}, {"timeline", std::move(timeline)},   {"up", state.up}};
    if (state.plan) { json["plan"] = *state.plan; }
}

void from_json(const nlohmann::json& json, CaseState& state) {
    json.at("next").get_to(state.next);
    json.at("elapsed-ms").get_to(state.elapsed_ms);
    json.at("boot-ms").get_to(state.boot_ms);
    json.at("up").get_to(state.up);
    state.plan.reset();
    if (json.contains("plan")) { state.plan = json["plan"].get<Plan>(); }
    state.variables.clear();
    for (const auto& [name, value] : json.at("variables").items()) {
        state.variables[name] = from_hex(value.get<std::string>());
    }
    state.timeline.clear();
    for (const auto& entry : json.at("timeline")) {
        state.timeline.push_back({entry.at(0).get<std::int64_t>(), entry.at(1).get<std::string>()});
    }
}

} // namespace microvmc::testkit
