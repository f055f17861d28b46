#pragma once

#include "compiler/config.h"
#include "compiler/facts.h"
#include "compiler/plan.h"
#include "compiler/source.h"
#include "testkit/result.h"
#include "testkit/spec.h"
#include "testkit/verdict.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// A case on a target becomes a plan, by the same pure phases as a microvm.toml.

namespace microvmc::testkit {

/// The case's machines as this target is to run them. `ports` are given to forwards that leave the host's port open, as
/// far as there are some. A volume that is written to gets an image of its own, whatever its file names.
Config config_for(const Case& which, const Target& target, const std::vector<std::uint16_t>& ports = {});
/// How many ports of the host its forwards leave open.
std::size_t open_ports(const Config& config);

/// Everything that resolving the cases on the targets asks of this host.
HostFacts facts_for(const std::vector<const Case*>& cases, const std::vector<Target>& targets);

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

/// Pure. `config`: what config_for made; `project`: what its machines are derived from.
Planning plan_case(const Case& which, const Target& target, const Config& config, const Sources& sources,
                   const HostFacts& facts, const std::string& project);

/// "specs/volumes.toml:31:1"; empty when it is unknown.
std::string place_of(const Span& span, const Sources& sources);

} // namespace microvmc::testkit
