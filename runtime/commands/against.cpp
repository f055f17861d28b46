#include "runtime/commands/against.h"

#include "runtime/commands/inputs.h"
#include "runtime/commands/pipeline.h"
#include "runtime/error.h"
#include "runtime/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc {

namespace {

Observed as_if_running(const Plan& plan) {
    Observed observed;
    for (const VmPlan& vm : plan.vms) {
        ObservedVm& seen = observed.vms.emplace_back();
        seen.name = vm.name;
        seen.plan = vm;
        seen.running = vm.enabled;
        for (const VolumePlan& volume : vm.volumes) { seen.volumes[volume.name] = volume.size_mib; }
    }
    return observed;
}

Plan parse_plan(const std::string& text, const std::string& path) {
    try {
        const nlohmann::json json = nlohmann::json::parse(text);
        // What `plan --json` prints has its changes beside the plan.
        return (json.contains("changes") ? json.at("plan") : json).get<Plan>();
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("{}: not a plan: {}", path, error.what()),
                    "microvmc plan --json prints one, plan --out saves one");
    }
}

} // namespace

std::optional<Observed> machines_of(const std::string& path, const Session& session, const std::string& project) {
    if (path.ends_with(".json")) { // it may be larger than a source
        const std::optional<std::string> text = read_file(path);
        if (!text) { throw Error(fmt::format("no such plan: {}", path), "microvmc plan --json prints one"); }
        return as_if_running(parse_plan(*text, path));
    }
    Sources sources;
    sources.files.push_back(read_source(path));
    const std::string& text = sources.files.front().text;
    // No TOML begins so.
    if (const auto first = text.find_first_not_of(" \t\r\n"); first != std::string::npos && text[first] == '{') {
        return as_if_running(parse_plan(text, path));
    }
    Session same = session;
    same.project = project;
    PipelineOptions nothing_runs;
    nothing_runs.against = Observed{};
    Pipeline other = load_sources(std::move(sources));
    compile(other, same, nothing_runs);
    if (!report(other, session)) { return std::nullopt; }
    return as_if_running(*other.plan);
}

} // namespace microvmc
