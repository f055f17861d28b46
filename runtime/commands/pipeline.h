#pragma once

#include "compiler/compile.h"
#include "compiler/diff.h"
#include "runtime/commands/session.h"
#include "runtime/facts/gather.h"
#include "runtime/paths.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace microvmc {

/// What a microvm.toml came to, phase by phase; a phase that was not reached is empty.
struct Pipeline {
    Sources sources;
    Diagnostics diagnostics;
    std::optional<Config> config;
    std::string project;
    HostFacts facts;
    Observed observed;
    std::optional<Plan> plan;
    std::optional<Changes> changes;
};

/// How far, and with what instead of this host.
struct PipelineOptions {
    bool upgrade = false;            ///< the host's newest kernel, whatever is pinned
    std::optional<Observed> against; ///< compared with this instead of what runs and was recorded
    /// Names of machines; empty: all. Others are left as they are, but those that these depend on are started, too.
    std::vector<std::string> only;
    std::vector<std::string> replace; ///< those that are restarted whether or not anything has changed
    bool destroy = false;             ///< none of the machines is wanted
};

/// --target, --replace and --destroy.
struct Selection {
    std::vector<std::string> targets;
    std::vector<std::string> replace;
    bool destroy = false;
};
void add_selection(CLI::App& command, Selection& selection);
void select(const Selection& selection, PipelineOptions& options);

/// Reads and decodes: parse, decode. `merged`: takes what was decoded; null: nobody wants it.
Pipeline load_sources(const Session& session, Merged* merged = nullptr);
/// The same of sources that were read already.
Pipeline load_sources(Sources sources, Merged* merged = nullptr);

/// The host's facts and what is observed, for sources that were decoded.
void gather(Pipeline& pipeline, const Session& session, const PipelineOptions& options);

/// All the pure phases, with the host's facts and what is observed between them: parse, decode, resolve, diff.
Pipeline compile(const Session& session, const PipelineOptions& options);
/// The rest of them, for what load_sources gave.
void compile(Pipeline& pipeline, const Session& session, const PipelineOptions& options);

/// What a text asks of the host: paths, kernels, devices, roots' sources. `state_dir` and `project` place the images that
/// it leaves to defaults.
FactsRequest asked_by(const Config& config, const std::string& state_dir, const std::string& project);

/// Gathers the host's facts. `request`: the paths, kernels, devices and roots' sources that some text asks about.
HostFacts host_facts(FactsRequest request = {});

/// Shows the diagnostics, as text on standard error or as JSON on standard output; false when there are errors.
bool report(const Pipeline& pipeline, const Session& session);

} // namespace microvmc
