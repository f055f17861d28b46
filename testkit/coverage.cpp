#include "testkit/coverage.h"

#include "runtime/backend.h"
#include "runtime/backends/capability.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>

namespace microvmc::testkit {

namespace {

/// Why a host can't prove something, whatever a hypervisor can do; empty: it can.
using Reason = std::string (*)(const HostFacts& facts);

std::string no_kvm(const HostFacts& facts) {
    if (facts.kvm.state == KvmState::works) { return {}; }
    return facts.kvm.reason.empty() ? "KVM doesn't work on this host"
                                    : fmt::format("KVM doesn't work on this host: {}", facts.kvm.reason);
}

/// That all kernels that were named, of which there are some, are such.
template <typename Is> bool all_named(const HostFacts& facts, Is is) {
    return !facts.named_kernels.empty() &&
           std::ranges::all_of(facts.named_kernels, [&is](const auto& each) { return is(each.second); });
}

std::string no_bzimage(const HostFacts& facts) {
    if (all_named(facts, [](const KernelFacts& kernel) { return kernel.image != KernelImage::bzimage; })) {
        return "the kernel that was named is no bzImage";
    }
    const bool emulated = facts.named_kernels.empty() && facts.kvm.state != KvmState::works;
    return emulated ? "without KVM the host's kernels are booted in the form of ELF" : "";
}

std::string no_elf(const HostFacts& facts) {
    return all_named(facts, [](const KernelFacts& kernel) { return kernel.image != KernelImage::elf; })
               ? "the kernel that was named is no ELF file"
               : "";
}

std::string no_option(const HostFacts& facts, std::string_view option) {
    const auto lacks = [option](const KernelFacts& kernel) {
        return !kernel.options.empty() && !kernel.options.contains(option);
    };
    return all_named(facts, lacks) ? fmt::format("the kernel that was named lacks CONFIG_{}", option) : std::string();
}

std::string no_modules(const HostFacts& facts) {
    return no_option(facts, "MODULES");
}

std::string no_btrfs(const HostFacts& facts) {
    return no_option(facts, "BTRFS_FS");
}

std::string no_xfs(const HostFacts& facts) {
    return no_option(facts, "XFS_FS");
}

std::string no_node(const HostFacts& facts, const char* path) {
    const auto node = facts.paths.find(path);
    const bool usable = node != facts.paths.end() && node->second.readable && node->second.writable;
    return usable ? "" : fmt::format("{} can't be used on this host", path);
}

std::string no_vhost_vsock(const HostFacts& facts) {
    return no_node(facts, "/dev/vhost-vsock");
}

std::string no_vhost_net(const HostFacts& facts) {
    return no_node(facts, "/dev/vhost-net");
}

std::string no_device_to_give(const HostFacts& facts) {
    const bool any = std::ranges::any_of(facts.host_devices, [](const auto& each) { return each.second.present; });
    return any ? "" : "no spec knows a device of this host that it may take away";
}

std::string no_huge_pages(const HostFacts& facts) {
    const bool any = std::ranges::any_of(facts.huge_pages, [](const auto& each) { return each.second.free != 0; });
    return any ? "" : "this host has set no huge pages aside";
}

std::string no_cgroup(const HostFacts& facts) {
    const auto has = [&facts](std::string_view controller) {
        return std::ranges::find(facts.cgroup_controllers, controller) != facts.cgroup_controllers.end();
    };
    return has("memory") && has("pids") && has("cpu")
               ? ""
               : "this host's cgroup v2 has no controllers that this user may use";
}

std::string no_step(const HostFacts& /*facts*/) {
    return "no step restores a machine under other paths; isolated cases are started so";
}

std::string not_root(const HostFacts& facts) {
    return facts.uid == 0 ? "" : "only root makes interfaces on the host";
}

std::string not_root_for_users(const HostFacts& facts) {
    return facts.uid == 0 ? "" : "only root runs a hypervisor as another user";
}

std::string no_queues(const HostFacts& facts) {
    const std::string why = not_root(facts); // a queue is a processor's
    return why.empty() ? no_option(facts, "SMP") : why;
}

std::string no_socat(const HostFacts& facts) {
    return facts.tools.contains("socat") ? "" : "socat is not installed on this host";
}

std::string no_virtiofsd(const HostFacts& facts) {
    const bool any =
        std::ranges::any_of(facts.tools, [](const auto& tool) { return tool.first.ends_with("virtiofsd"); });
    return any ? "" : "no virtiofsd is installed on this host";
}

std::string no_rusts_virtiofsd(const HostFacts& facts) {
    const bool any = std::ranges::any_of(facts.tools, [](const auto& tool) {
        return tool.first.ends_with("virtiofsd") && tool.second.version.starts_with("1.");
    });
    return any ? "" : "Rust's virtiofsd is not installed on this host";
}

struct Excuse {
    std::string_view capability;
    Reason reason;
};
constexpr std::array excuses{
    Excuse{"accel.kvm", no_kvm},
    Excuse{"kernel.bzimage", no_bzimage},
    Excuse{"kernel.elf", no_elf},
    Excuse{"kernel.modules", no_modules},
    Excuse{"volume.xfs", no_xfs},
    Excuse{"volume.btrfs", no_btrfs},
    Excuse{"memory.hugepages", no_huge_pages},
    Excuse{"share.virtiofs", no_virtiofsd},
    Excuse{"share.id-map", no_rusts_virtiofsd},
    Excuse{"share.on-death", no_virtiofsd},
    Excuse{"share.socket", no_rusts_virtiofsd},
    Excuse{"share.extra-args", no_rusts_virtiofsd},
    Excuse{"interface.tap", not_root},
    Excuse{"interface.macvtap", not_root},
    Excuse{"interface.bridge", not_root},
    Excuse{"interface.address", not_root},
    Excuse{"interface.mtu", not_root},
    Excuse{"interface.queues", no_queues},
    Excuse{"interface.vhost", no_vhost_net},
    Excuse{"interface.rate", not_root},
    Excuse{"interface.unmanaged", not_root},
    Excuse{"interface.allow-spoofing", not_root},
    Excuse{"device.pci", no_device_to_give},
    Excuse{"device.usb", no_device_to_give},
    Excuse{"forward.guest", no_socat},
    Excuse{"vmm-user", not_root_for_users},
    Excuse{"vsock", no_vhost_vsock},
    Excuse{"limits", no_cgroup},
    Excuse{"snapshot.elsewhere", no_step},
};

/// Why nothing can run on the hypervisor at all; empty: something can.
std::string unusable(std::string_view hypervisor, const std::vector<Target>& targets) {
    std::string why;
    for (const Target& target : targets) {
        if (target.hypervisor != hypervisor) { continue; }
        if (target.unusable.empty()) { return {}; }
        why = target.unusable;
    }
    return why;
}

std::string excuse_for(std::string_view capability, const HostFacts& facts) {
    const auto* found = std::ranges::find(excuses, capability, &Excuse::capability);
    return found == excuses.end() ? std::string() : found->reason(facts);
}

/// The host with just the kernels that the hypervisor was given.
HostFacts seen_by(std::string_view hypervisor, const std::vector<Target>& targets, const HostFacts& facts) {
    HostFacts seen = facts;
    std::erase_if(seen.named_kernels, [&](const auto& kernel) {
        return std::ranges::none_of(targets, [&](const Target& target) {
            return target.hypervisor == hypervisor && target.kernel == kernel.first;
        });
    });
    return seen;
}

std::string_view name_of(Support support) {
    switch (support) {
    case Support::native: return "native";
    case Support::bridged: return "bridged";
    case Support::unsupported: return "unsupported";
    }
    return {};
}

bool is_on(const CaseResult& result, const std::vector<Target>& targets, std::string_view hypervisor) {
    return std::ranges::any_of(targets, [&](const Target& target) {
        return target.hypervisor == hypervisor && target.name() == result.target;
    });
}

std::vector<std::string> proofs_of(std::string_view capability, std::string_view hypervisor,
                                   const std::vector<Target>& targets, const std::vector<CaseResult>& results) {
    std::vector<std::string> cases;
    for (const CaseResult& result : results) {
        const bool proves = std::ranges::find(result.proves, capability) != result.proves.end();
        if (!proves || result.outcome != Outcome::passed || !is_on(result, targets, hypervisor)) { continue; }
        if (std::ranges::find(cases, result.id()) == cases.end()) { cases.push_back(result.id()); }
    }
    return cases;
}

bool only_interprets(std::string_view hypervisor, const std::vector<Target>& targets) {
    return std::ranges::none_of(targets, [&](const Target& target) {
        return target.hypervisor == hypervisor && target.unusable.empty() && !target.interpreted;
    });
}

/// A guest that is interpreted sends 0.3 MiB a second over TCP, and a rate has one at least.
std::string too_slow(std::string_view capability, std::string_view hypervisor, const std::vector<Target>& targets) {
    return capability == "interface.rate" && only_interprets(hypervisor, targets)
               ? "guests are interpreted here, and reach no rate that could be limited"
               : "";
}

/// Specs of what is the same everywhere leave out where guests are interpreted, which takes too long for it.
std::string left_to_others(std::string_view capability, std::string_view hypervisor, const std::vector<Target>& targets,
                           const std::vector<CaseResult>& results) {
    if (!is_independent(capability) || !only_interprets(hypervisor, targets)) { return {}; }
    for (const Target& target : targets) {
        if (!proofs_of(capability, target.hypervisor, targets, results).empty()) {
            return fmt::format("it is the same everywhere, {} has proven it, and guests are interpreted here",
                               target.hypervisor);
        }
    }
    return "it is the same everywhere, and guests are interpreted here";
}

} // namespace

std::vector<CoverageCell> coverage_of(const std::vector<Target>& targets, const std::vector<CaseResult>& results,
                                      const HostFacts& facts) {
    std::vector<CoverageCell> cells;
    for (const Backend* backend : backends()) {
        const Traits& traits = backend->traits;
        const bool took_part = std::ranges::find(targets, traits.name, &Target::hypervisor) != targets.end();
        if (!took_part) { continue; }
        const std::string missing = unusable(traits.name, targets);
        const HostFacts seen = seen_by(traits.name, targets, facts);
        for (const CapabilityName& known : known_capabilities()) {
            const Support support = traits.capability(known.name).support;
            if (support == Support::unsupported) { continue; }
            std::string excuse = missing.empty() ? excuse_for(known.name, seen) : missing;
            if (excuse.empty()) { excuse = refusal_here(traits, known.name, {}, facts); }
            if (excuse.empty()) { excuse = too_slow(known.name, traits.name, targets); }
            if (excuse.empty()) { excuse = left_to_others(known.name, traits.name, targets, results); }
            cells.push_back({.capability = std::string(known.name),
                             .hypervisor = std::string(traits.name),
                             .support = std::string(name_of(support)),
                             .cases = proofs_of(known.name, traits.name, targets, results),
                             .excuse = std::move(excuse)});
        }
    }
    return cells;
}

} // namespace microvmc::testkit
