#include "runtime/commands/saved_plan.h"

#include "compiler/digest.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"
#include "runtime/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc {

namespace {

constexpr const char* stale_help = "make it anew with microvmc plan --out, and review that";

} // namespace

std::optional<std::string> saved_plan_path(const Session& session) {
    const Targets targets = classify(session);
    if (targets.files.size() != 1 || !targets.files.front().ends_with(".json")) { return std::nullopt; }
    return targets.files.front();
}

Pipeline load_saved_plan(const std::string& path) {
    const std::optional<std::string> text = read_file(path);
    if (!text) { throw Error(fmt::format("no such plan: {}", path), "microvmc plan --out makes one"); }
    Plan saved;
    try {
        nlohmann::json::parse(*text).get_to(saved);
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("{}: not a plan: {}", path, error.what()), "microvmc plan --out makes one");
    }
    Sources sources;
    for (const auto& [source, digest] : saved.digests.sources) {
        sources.files.push_back(read_source(source));
        if (sha256_hex(sources.files.back().text) != digest) {
            throw Error(fmt::format("{} is stale: {} has changed since", path, source), stale_help);
        }
    }
    if (sources.files.empty()) { throw Error(fmt::format("{}: a plan without sources", path)); }
    Pipeline pipeline = load_sources(std::move(sources));
    pipeline.plan = std::move(saved);
    return pipeline;
}

void refuse_stale(const Plan& saved, const Plan& now, const std::string& path) {
    if (saved.digests.facts != now.digests.facts) {
        throw Error(
            fmt::format("{} is stale: this host is not as it was (programs, kernels, or what KVM can do)", path),
            stale_help);
    }
    if (saved.digests.observed != now.digests.observed) {
        throw Error(fmt::format("{} is stale: the project's machines have changed since", path), stale_help);
    }
    if (!(saved == now)) { throw Error(fmt::format("{} is stale: it would be another plan now", path), stale_help); }
}

} // namespace microvmc
