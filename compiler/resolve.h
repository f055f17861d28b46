#pragma once

#include "compiler/config.h"
#include "compiler/diagnostic.h"
#include "compiler/facts.h"
#include "compiler/observed.h"
#include "compiler/plan.h"
#include "compiler/traits.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace microvmc {

struct ResolveOptions {
    std::string project;  ///< -p or MICROVMC_PROJECT; empty: the file's name, else its directory's
    bool upgrade = false; ///< take the host's newest kernel, whatever is pinned
};

/// What the machines' text leaves open is decided here, the same way each time, from facts alone. None: `diagnostics`
/// (sorted) has errors. Pure.
std::optional<Plan> resolve(const Config& config, const Sources& sources, std::span<const Traits> traits,
                            const HostFacts& facts, const Observed& observed, const ResolveOptions& options,
                            Diagnostics& diagnostics);

/// A hypervisor, as one for a machine.
struct HypervisorChoice {
    std::string name;
    std::string program; ///< absolute path; empty: not installed
    std::string version;
    std::string accel; ///< "kvm", "tcg"; empty: none works
    std::string accel_reason;
    bool allowed = false;             ///< the machine's `hypervisor` lets it be chosen
    bool chosen = false;              ///< the first of those that can do it all
    std::vector<std::string> reasons; ///< all that keeps it from running the machine; none: it can
};

/// The table behind the choice of `vm`'s hypervisor: those that are allowed, in the order of preference, then the
/// others. `vm` is in `config`. Pure.
std::vector<HypervisorChoice> hypervisor_choices(const VmConfig& vm, const Config& config, const Sources& sources,
                                                 std::span<const Traits> traits, const HostFacts& facts,
                                                 const Observed& observed, const ResolveOptions& options);

/// The project's name: the option, the file's `name`, the directory's name made fit.
std::string project_name(const Config& config, const Sources& sources, const ResolveOptions& options);

/// Paths whose PathFacts resolving needs; absolute. An image that is left to the default lies in the state
/// directory of `project`.
std::vector<std::string> paths_to_probe(const Config& config, std::string_view state_dir, std::string_view project);
/// Devices of the host whose HostDeviceFacts resolving needs: bus and path, each once.
std::vector<std::pair<std::string, std::string>> devices_to_probe(const Config& config);
/// The host's users whose UserFacts resolving needs, by name.
std::vector<std::string> users_to_probe(const Config& config);
/// Files whose KernelFacts resolving needs.
std::vector<std::string> kernels_to_probe(const Config& config);
/// Kernel configurations that it names.
std::vector<std::string> kernel_configs_to_probe(const Config& config);

/// OCI images whose OciFacts resolving needs.
std::vector<std::string> oci_images_to_probe(const Config& config);

/// What roots are made of, whose PathFacts have an identity.
std::vector<std::string> root_sources_to_probe(const Config& config);

/// Digests of the sources, of the facts that resolving goes by, and of what is observed: when one differs later, a
/// saved plan is stale.
PlanDigests digests(const Sources& sources, const HostFacts& facts, const Observed& observed);

} // namespace microvmc
