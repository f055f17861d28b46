#pragma once

#include "compiler/config.h"
#include "compiler/facts.h"
#include "compiler/observed.h"
#include "compiler/plan.h"
#include "compiler/source.h"
#include "runtime/paths.h"
#include "testkit/result.h"
#include "testkit/spec.h"
#include "testkit/verdict.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// A case on a target becomes a plan, by the same pure phases as a microvm.toml.

namespace microvmc::testkit {

/// Machines (of a case, `placed`) as this target is to run them. `ports` are given to forwards that leave the host's
/// port open, as far as there are some. A volume that is written to gets an image of its own, whatever its file names.
Config config_for(Config config, const Target& target, const std::vector<std::uint16_t>& ports = {});
/// How many ports of the host its forwards leave open.
std::size_t open_ports(const Config& config);

/// Everything that resolving these on the targets asks of this host. `project`: of machines that exist, whose images
/// lie where their text leaves them; empty: none exist yet.
HostFacts facts_for(const std::vector<const Config*>& configs, const std::vector<Target>& targets,
                    const Directories& where, const std::string& project = {});

/// An image that a file names and a machine writes to: the machine is given a copy.
struct ImageCopy {
    std::string from;
    std::string to;
};
/// Of the images that exist, for the project.
std::vector<ImageCopy> images_to_copy(const Config& written, const HostFacts& facts, const std::string& project);

/// What is planned for a case, or why nothing can be.
struct Planning {
    std::optional<Plan> plan;
    Verdict verdict;     ///< without a plan: skipped or error
    std::string where;   ///< the place that it is about
    std::string details; ///< the diagnostics as people read them, when the text or the host is wrong
};

/// By how much what a guest does may take longer than a spec or its machines say.
int patience_of(const Target& target);

/// Variables that every program in a target's guests has.
std::map<std::string, std::string> environment_for(const Target& target);

/// Why the case isn't for the target, as far as its text, the target and the needs that are named tell. Pure.
std::optional<Planning> refused(const Case& which, const Target& target, const std::vector<Need>& needs,
                                const Sources& sources, const HostFacts& facts);

/// Pure. `config`: what config_for made; `copies`: images that its machines will have; `project`: what its machines are
/// derived from.
Planning plan_case(const Case& which, const Target& target, const Config& config, const std::vector<ImageCopy>& copies,
                   const Sources& sources, const HostFacts& facts, const std::string& project);
/// The same of machines that exist. Pure.
Planning plan_machines(const Config& config, const Target& target, const Sources& sources, const HostFacts& facts,
                       const std::string& project, const Observed& observed);

/// Where the case's file lies, in which its programs on the host run.
std::string directory_of(const Case& which, const Sources& sources);

/// "specs/volumes.toml:31:1"; empty when it is unknown.
std::string place_of(const Span& span, const Sources& sources);

} // namespace microvmc::testkit
