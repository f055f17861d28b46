#pragma once

#include "compiler/facts.h"
#include "runtime/facts/kvm_probe.h"

#include <map>
#include <optional>
#include <string>

namespace microvmc {

/// What took time to find out, and what it holds for. Of one boot: another one starts empty.
struct FactsCache {
    struct Kvm {
        FileIdentity device;
        KvmProbe probe;
    };
    std::map<std::string, ToolFacts> tools; ///< by path; holds while the identity is the same
    struct Kernel {
        FileIdentity identity;
        KernelOptions options;
    };
    std::map<std::string, Kernel> kernels; ///< by path, those whose configuration is in themselves; likewise
    std::optional<Kvm> kvm;
    std::optional<std::uint64_t> tsc_khz;
};

/// What was saved in this boot; empty when nothing was, or it can't be made out.
FactsCache load_facts_cache(const std::string& file, const std::string& boot_id);

/// Best effort: where it can't be written, the facts are found out again next time.
void save_facts_cache(const FactsCache& cache, const std::string& file, const std::string& boot_id);

} // namespace microvmc
