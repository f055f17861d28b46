#include "runtime/facts/cache.h"

#include "compiler/facts_json.h"
#include "runtime/error.h"
#include "runtime/files.h"

#include <filesystem>
#include <nlohmann/json.hpp>

namespace microvmc {

namespace {

/// Raised with what the probes look at, so that an upgraded program doesn't believe an older one.
constexpr int cache_version = 3;

FactsCache cache_from(const nlohmann::json& json) {
    FactsCache cache;
    for (const auto& tool : json.at("tools")) {
        const ToolFacts facts = tool.get<ToolFacts>();
        cache.tools[facts.path] = facts;
    }
    for (const auto& kernel : json.at("kernels")) {
        cache.kernels[kernel.at("path").get<std::string>()] = {.identity = kernel.at("identity").get<FileIdentity>(),
                                                               .options = kernel.at("options").get<KernelOptions>()};
    }
    if (const auto kvm = json.find("kvm"); kvm != json.end()) {
        FactsCache::Kvm entry;
        entry.device = kvm->at("device").get<FileIdentity>();
        entry.probe.facts.reason = kvm->at("reason").get<std::string>();
        entry.probe.facts.state = entry.probe.facts.reason.empty() ? KvmState::works : KvmState::incomplete;
        entry.probe.tsc_khz = kvm->at("tsc-khz").get<std::uint64_t>();
        entry.probe.facts.nested_state = kvm->at("nested-state").get<bool>();
        cache.kvm = entry;
    }
    if (const auto khz = json.find("tsc-khz"); khz != json.end()) { cache.tsc_khz = khz->get<std::uint64_t>(); }
    return cache;
}

} // namespace

FactsCache load_facts_cache(const std::string& file, const std::string& boot_id) {
    try {
        const auto text = read_file(file, std::size_t{1} << 20U);
        if (!text) { return {}; }
        const nlohmann::json json = nlohmann::json::parse(*text);
        if (json.at("version") != cache_version || json.at("boot-id") != boot_id) { return {}; }
        return cache_from(json);
    } catch (const Error&) { return {}; } catch (const nlohmann::json::exception&) {
        return {};
    }
}

void save_facts_cache(const FactsCache& cache, const std::string& file, const std::string& boot_id) {
    nlohmann::json json{{"version", cache_version}, {"boot-id", boot_id}, {"tools", nlohmann::json::array()}};
    for (const auto& [path, tool] : cache.tools) { json["tools"].push_back(tool); }
    json["kernels"] = nlohmann::json::array();
    for (const auto& [path, kernel] : cache.kernels) {
        json["kernels"].push_back({{"path", path}, {"identity", kernel.identity}, {"options", kernel.options}});
    }
    if (cache.kvm) {
        json["kvm"] = {{"device", cache.kvm->device},
                       {"reason", cache.kvm->probe.facts.reason},
                       {"tsc-khz", cache.kvm->probe.tsc_khz},
                       {"nested-state", cache.kvm->probe.facts.nested_state}};
    }
    if (cache.tsc_khz) { json["tsc-khz"] = *cache.tsc_khz; }
    try {
        make_directories(std::filesystem::path(file).parent_path().string(), 0700);
        write_whole(file, json.dump(1) + "\n", 0600);
    } catch (const Error&) { // a state directory that can't be written must not keep `plan` from working
    }
}

} // namespace microvmc
