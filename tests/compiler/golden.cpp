#include "tests/compiler/golden.h"

#include "runtime/backend.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace microvmc::golden {

namespace {

constexpr const char* home = "/home/me/shop";

void apply_patch(Observed& observed, const std::string& patch) {
    if (patch.empty()) { return; }
    const nlohmann::json said = nlohmann::json::parse(patch);
    for (const auto& [name, what] : said.items()) {
        auto vm = std::ranges::find(observed.vms, name, &ObservedVm::name);
        if (vm == observed.vms.end()) {
            observed.vms.push_back({});
            vm = std::prev(observed.vms.end());
            vm->name = name;
        }
        vm->running = what.value("running", vm->running);
        vm->completed = what.value("completed", vm->completed);
        if (what.contains("volumes")) { vm->volumes = what.at("volumes").get<decltype(vm->volumes)>(); }
    }
}

} // namespace

std::string golden_dir() {
    return std::string(TEST_SOURCE_DIR) + "/tests/golden";
}

bool updating() {
    return std::getenv("MICROVMC_UPDATE_GOLDEN") != nullptr;
}

std::string read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void expect_file(const std::string& path, const std::string& actual) {
    if (updating()) {
        std::ofstream(path) << actual;
        return;
    }
    ASSERT_TRUE(std::filesystem::exists(path)) << path << " is missing; MICROVMC_UPDATE_GOLDEN=1 makes it:\n" << actual;
    EXPECT_EQ(read(path), actual) << path;
}

HostFacts facts(const std::string& patch) {
    nlohmann::json json = nlohmann::json::parse(read(golden_dir() + "/facts.json"));
    if (!patch.empty()) { json.merge_patch(nlohmann::json::parse(patch)); }
    return json.get<HostFacts>();
}

std::string Outcome::errors() const {
    return render_text(diagnostics, sources, false);
}

Outcome run(const Case& given) {
    const std::vector<Traits> traits = all_traits();
    HostFacts host = facts(given.facts);
    Observed observed;
    if (!given.before.empty()) {
        Case earlier;
        earlier.text = given.before;
        earlier.facts = given.before_facts.empty() ? given.facts : given.before_facts;
        const Outcome before = run(earlier);
        if (before.plan && !given.before_facts.empty()) {
            const KernelPlan& kernel = before.plan->vms.front().kernel;
            KernelFacts pinned;
            pinned.path = kernel.pin + "/vmlinuz";
            pinned.release = kernel.release;
            pinned.modules = kernel.pin + "/modules";
            pinned.image = KernelImage::bzimage;
            pinned.compression = Compression::xz;
            pinned.identity = kernel.identity;
            pinned.pinned_from = kernel.source;
            host.pinned.push_back(pinned);
        }
        if (!before.plan) { ADD_FAILURE() << "what ran before is wrong:\n" << before.errors(); }
        for (const VmPlan& vm : before.plan ? before.plan->vms : std::vector<VmPlan>{}) {
            ObservedVm& seen = observed.vms.emplace_back();
            seen.name = vm.name;
            seen.plan = vm;
            seen.running = true;
            for (const VolumePlan& volume : vm.volumes) { seen.volumes[volume.name] = volume.size_mib; }
        }
    }
    apply_patch(observed, given.observed);

    Outcome outcome;
    outcome.sources.files.push_back({.path = "microvm.toml", .directory = home, .text = given.text});
    if (!given.over.empty()) {
        outcome.sources.files.push_back({.path = "over.toml", .directory = home, .text = given.over});
    }
    const std::optional<Config> config = load(outcome.sources, traits, outcome.diagnostics);
    if (!config) { return outcome; }
    ResolveOptions options;
    options.upgrade = given.upgrade;
    outcome.plan = resolve(*config, outcome.sources, traits, host, observed, options, outcome.diagnostics);
    if (outcome.plan) { outcome.changes = diff(*outcome.plan, observed, outcome.sources, outcome.diagnostics); }
    return outcome;
}

} // namespace microvmc::golden
