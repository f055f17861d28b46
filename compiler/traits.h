#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// How a hypervisor comes by a capability.
enum class Support {
    native,
    bridged,     ///< the runtime supplies what the hypervisor lacks, and the plan says so
    unsupported, ///< `why` says why, `remedy` what would do it
};

struct Capability {
    std::string_view name; ///< "share.9p", "volume.raw", "interface.user", "accel.tcg"; the list is in traits.cpp
    Support support = Support::unsupported;
    std::string_view why; ///< unsupported: why; else how, where that is worth a word
    std::string_view remedy;
    std::string_view since{}; ///< the first version that has it, "1.14"; empty: all that there are
};

/// What keeps a hypervisor from running a machine as it is planned: the machine's shape, or what the host lacks.
struct Problem {
    std::string key; ///< of the plan, where it was written: "vsock", "devices.gpu"; empty: the machine as a whole
    std::string message;
    std::string help{};
};

/// What a backend decides about a VM beyond the common language, from facts alone.
struct MachineChoice {
    std::string machine;
    std::string machine_reason;
    KernelImage kernel_image = KernelImage::bzimage;
    std::string kernel_image_reason;
    std::vector<std::string> kernel_params; ///< that this machine needs: console, reboot, clock
    std::vector<Problem> problems;          ///< why no machine can be made of it; none: it can
    std::string warning;                    ///< about an amount of memory that is known to do harm; empty: none
};

/// A hypervisor as the compiler sees it; the rest is in runtime/backend.h. One constant a backend.
struct Traits {
    std::string_view name;
    std::string_view title; ///< "QEMU"
    /// Programs looked for on PATH, by architecture: {"x86_64", "qemu-system-x86_64"}.
    struct Program {
        std::string_view arch;
        std::string_view name;
    };
    std::vector<Program> programs;
    std::string_view install{}; ///< what installs them: "apt install qemu-system-x86"; empty: nothing packaged
    std::vector<Capability> capabilities; ///< one entry for each known name
    std::vector<std::string_view> accels; ///< that it can use, best first
    std::uint32_t max_vcpu = 1;
    /// Address, gateway and DNS that its user network gives to the first guest; empty when it has no such network.
    struct UserNetwork {
        std::string_view address;
        std::string_view gateway;
        std::string_view dns;
    };
    std::optional<UserNetwork> user_network;
    /// Pure. `vm` has all but what is chosen here.
    MachineChoice (*choose_machine)(const VmPlan& vm, const HostFacts& facts);

    /// Options that the guest's kernel must have, as they are named without CONFIG_: what our init, the hypervisor and
    /// the machine's devices need. `vm` has all but what comes after its hypervisor.
    std::function<std::vector<std::string_view>(const VmPlan& vm)> kernel_options{};

    /// Pure: why this host keeps it from a capability that it has; empty: nothing does.
    std::string (*host_lacks)(std::string_view capability, const HostFacts& facts) = nullptr;

    std::vector<std::string_view> cache_modes{};       ///< words of a volume's `cache`
    std::vector<std::string_view> discard_formats{};   ///< of images that give freed blocks back to the host
    bool (*grows)(const VolumePlan& volume) = nullptr; ///< "volume.grow": which of them do; null: all

    bool own_virtiofs = false; ///< serves directories itself, where the host has no virtiofsd that it can use

    /// "interface.vhost": a machine has less of something else then, so that it has to be asked for.
    bool vhost_costs = false;

    /// Keys of its own table ([vm.x.NAME]) beyond `program` and `extra-args`.
    struct Option {
        std::string_view name;
        std::string_view doc;
    };
    std::vector<Option> options{};

    /// How it has the capability; one that the backend doesn't list comes without a name, unsupported.
    [[nodiscard]] const Capability& capability(std::string_view name) const;
};

/// What is known of the kernel that a plan has; null: nothing.
const KernelFacts* find_kernel(const HostFacts& facts, const KernelPlan& plan);

/// A capability that the language can ask for. Backends declare each; `hypervisors` and the docs print the table.
struct CapabilityName {
    std::string_view name;
    std::string_view doc;
    std::string_view remedy = "leave the key out"; ///< when a backend names none of its own
};
/// All of them, in the order in which the table is printed.
std::span<const CapabilityName> known_capabilities();
/// The static spelling of a known capability; empty when there is none of that name.
std::string_view find_capability(std::string_view name);

/// Whether a version, "1.9.2", comes before another, number by number. One that isn't known doesn't.
bool is_older(std::string_view version, std::string_view than);

/// Why the hypervisor doesn't have the capability, for people: "not with QEMU: vsock (...)". Empty: it has it.
/// `version`: that is installed; empty: not known.
std::string refusal(const Traits& traits, std::string_view name, std::string_view version);

/// The same on this host: also when it has the capability, and the host keeps it from that.
std::string refusal_here(const Traits& traits, std::string_view name, std::string_view version, const HostFacts& facts);

} // namespace microvmc
