#include "testkit/coverage.h"

#include "runtime/backend.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace microvmc::testkit {

namespace {

using Applies = bool (*)(const HostFacts& facts);

bool kvm_fails(const HostFacts& facts) {
    return facts.kvm.state != KvmState::works;
}

/// What a host may be unable to prove, whatever a hypervisor can do.
struct Excuse {
    std::string_view capability;
    Applies applies;
    std::string_view why;
};
constexpr std::array excuses{
    Excuse{"accel.kvm", kvm_fails, "KVM doesn't work on this host"},
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
    for (const Excuse& excuse : excuses) {
        if (excuse.capability == capability && excuse.applies(facts)) { return std::string(excuse.why); }
    }
    return {};
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

} // namespace

std::vector<CoverageCell> coverage_of(const std::vector<Target>& targets, const std::vector<CaseResult>& results,
                                      const HostFacts& facts) {
    std::vector<CoverageCell> cells;
    for (const Backend* backend : backends()) {
        const Traits& traits = backend->traits;
        const bool took_part = std::ranges::find(targets, traits.name, &Target::hypervisor) != targets.end();
        if (!took_part) { continue; }
        const std::string missing = unusable(traits.name, targets);
        for (const CapabilityName& known : known_capabilities()) {
            const Support support = traits.capability(known.name).support;
            if (support == Support::unsupported) { continue; }
            cells.push_back({.capability = std::string(known.name),
                             .hypervisor = std::string(traits.name),
                             .support = std::string(name_of(support)),
                             .cases = proofs_of(known.name, traits.name, targets, results),
                             .excuse = missing.empty() ? excuse_for(known.name, facts) : missing});
        }
    }
    return cells;
}

} // namespace microvmc::testkit
