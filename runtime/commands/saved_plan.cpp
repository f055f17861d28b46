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

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw Error(fmt::format("{} is stale: {}", path, why), stale_help);
}

// The same files with the same content, in the same order: what is included as well.
void refuse_changed(const std::vector<SourceDigest>& saved, const Sources& now, const std::string& path) {
    for (std::size_t i = 0; i < saved.size(); ++i) {
        const bool same_file = i < now.files.size() && now.files[i].path == saved[i].path;
        // A file that can't be parsed any more includes nothing; that it has changed comes before it in the list.
        if (!same_file) { refuse(path, fmt::format("{} is no longer what it includes there", saved[i].path)); }
        if (sha256_hex(now.files[i].text) != saved[i].digest) {
            refuse(path, fmt::format("{} has changed since", saved[i].path));
        }
    }
    if (now.files.size() > saved.size()) {
        refuse(path, fmt::format("it includes {} now", now.files[saved.size()].path));
    }
}

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
    for (const SourceDigest& source : saved.digests.sources) {
        if (!source.included) { sources.files.push_back(read_source(source.path)); }
    }
    if (sources.files.empty()) { throw Error(fmt::format("{}: a plan without sources", path)); }
    Pipeline pipeline = load_sources(std::move(sources));
    refuse_changed(saved.digests.sources, pipeline.sources, path);
    pipeline.plan = std::move(saved);
    return pipeline;
}

void refuse_stale(const Plan& saved, const Plan& now, const std::string& path) {
    if (saved.digests.facts != now.digests.facts) {
        refuse(path, "this host is not as it was (programs, kernels, or what KVM can do)");
    }
    if (saved.digests.observed != now.digests.observed) { refuse(path, "the project's machines have changed since"); }
    if (!(saved == now)) { refuse(path, "it would be another plan now"); }
}

} // namespace microvmc
