#include "runtime/commands/ends.h"
#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/machine.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <memory>

namespace microvmc {

namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct WaitFlags {
    std::string goal = "ready";
    std::string timeout; ///< empty: for ever
};

constexpr milliseconds for_ever{std::int64_t{365} * 24 * 3600 * 1000};

milliseconds timeout_of(const WaitFlags& flags) {
    if (flags.timeout.empty()) { return for_ever; }
    std::string problem;
    const std::string text =
        flags.timeout.find_first_not_of("0123456789") == std::string::npos ? flags.timeout + "s" : flags.timeout;
    const std::optional<std::int64_t> ms = parse_duration(text, problem);
    if (!ms) { throw Error(fmt::format("--timeout {}: {}", flags.timeout, problem)); }
    return milliseconds(*ms);
}

// What came of one machine; sets the session's status.
nlohmann::json wait_for(Session& session, const KnownMachine& machine, const WaitFlags& flags,
                        Clock::time_point deadline) {
    const bool to_its_end = flags.goal == "end";
    const auto left = std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(0));
    const AwaitOutcome outcome =
        await_machine(machine.runtime_dir, to_its_end ? Goal::end : Goal::ready, std::min(left, for_ever));
    nlohmann::json json{{"name", machine.name}};
    if (outcome.end) { json["end"] = *outcome.end; }
    switch (outcome.kind) {
    case AwaitOutcome::Kind::reached: json["state"] = "ready"; return json;
    case AwaitOutcome::Kind::ended:
        json["state"] = "ended";
        session.status = to_its_end ? exit_of(*outcome.end) : static_cast<int>(exit_failure);
        return json;
    case AwaitOutcome::Kind::not_running:
        throw Error(fmt::format("{} doesn't run, and never did", machine.name), "microvmc start runs it");
    case AwaitOutcome::Kind::timed_out:
        throw TimeoutError(fmt::format("{}: the time is up; it is waiting for {}", machine.name, outcome.waiting_for));
    }
    return json;
}

} // namespace

void add_wait(CLI::App& app, Session& session) {
    auto flags = std::make_shared<WaitFlags>();
    CLI::App* command = add_command(app, session, "wait", "Wait until machines are ready, or until they have ended");
    command->footer(
        std::string("With --for ready: 0 when they are, 1 when one ended instead, 3 when the time is up.\n") +
        "With --for end: " + end_statuses + "; of several machines the last failure counts.");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command->add_option("--for", flags->goal, "What is waited for")
        ->check(CLI::IsMember({"ready", "end"}))
        ->capture_default_str();
    command->add_option("--timeout", flags->timeout, "How long at most: 30, 1m30s (default: for ever)");
    command->add_flag("--json", session.json, "Print JSON");
    command->callback([&session, flags] {
        const auto deadline = Clock::now() + timeout_of(*flags);
        nlohmann::json machines = nlohmann::json::array();
        for (const KnownMachine& machine : known_machines(session, directories())) {
            machines.push_back(wait_for(session, machine, *flags, deadline));
            if (session.json) { continue; }
            const nlohmann::json& json = machines.back();
            const std::string how = json.contains("end") ? printable(describe(json["end"].get<End>())) : "ready";
            print(fmt::format("{}  {}\n", machine.name, how));
        }
        if (session.json) { print(nlohmann::json{{"version", 1}, {"vms", machines}}.dump(2) + "\n"); }
    });
}

} // namespace microvmc
