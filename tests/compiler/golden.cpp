#include "tests/compiler/golden.h"

#include "compiler/text.h"
#include "runtime/action.h"
#include "runtime/backend.h"
#include "runtime/lower.h"
#include "runtime/volume.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
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

std::vector<Traits> whole_traits() {
    Traits traits = backend("qemu").traits;
    traits.capabilities.clear();
    for (const CapabilityName& known : known_capabilities()) {
        const std::string_view how = known.name == "memory.hotplug" ? "virtio-mem"
                                     : known.name == "volume.grow"  ? "grown online"
                                                                    : "";
        traits.capabilities.push_back({known.name, Support::native, how, {}});
    }
    return {traits};
}

static std::string_view word_of(Descriptor::Kind kind) {
    switch (kind) {
    case Descriptor::Kind::read: return "to read";
    case Descriptor::Kind::write: return "to write";
    case Descriptor::Kind::listen: return "who connects to";
    case Descriptor::Kind::connect: return "connected to";
    case Descriptor::Kind::macvtap: return "a queue of";
    }
    return {};
}

std::string actions_text(const Outcome& outcome) {
    std::string text;
    for (const Action& action : lower(*outcome.plan, *outcome.changes, outcome.observed, outcome.facts)) {
        text += describe(action) + "\n";
        if (const auto* volume = std::get_if<CreateVolume>(&action)) {
            for (const auto& argv : volume_commands(*volume, "RAW", "IMAGE")) {
                text += "    " + shell_quoted(argv) + "\n";
            }
        } else if (const auto* initramfs = std::get_if<BuildInitramfs>(&action)) {
            text += fmt::format("    modules {}\n", fmt::join(initramfs->modules, " "));
        } else if (const auto* start = std::get_if<StartMachine>(&action)) {
            for (const Child& child : start->launch.children) {
                text += fmt::format("    {}\n", child.role);
                for (const std::string& argument : child.argv) { text += "        " + shell_quoted(argument) + "\n"; }
                for (const ChildFile& file : child.files) {
                    text += fmt::format("    {}:\n{}", file.path, file.content);
                }
                if (!child.user.empty()) { text += fmt::format("    run by {}\n", child.user); }
                for (const Descriptor& descriptor : child.descriptors) {
                    text +=
                        fmt::format("    {} is {} {}\n", descriptor.number, word_of(descriptor.kind), descriptor.path);
                }
            }
            for (const auto& argv : start->launch.release) {
                text += fmt::format("    at its end {}\n", shell_quoted(argv));
            }
        }
    }
    return text;
}

Outcome run(const Case& given) {
    const std::vector<Traits> traits = given.whole ? whole_traits() : all_traits();
    HostFacts host = facts(given.facts);
    Observed observed;
    if (!given.before.empty()) {
        Case earlier;
        earlier.text = given.before;
        earlier.whole = given.whole;
        earlier.facts = given.before_facts.empty() ? given.facts : given.before_facts;
        const Outcome before = run(earlier);
        if (before.plan && !given.before_facts.empty()) {
            const KernelPlan& kernel = before.plan->vms.front().kernel;
            KernelFacts pinned;
            pinned.path = kernel.pin + "/vmlinuz";
            pinned.release = kernel.release;
            pinned.modules = kernel.pin + "/modules";
            pinned.file_systems = {"9p", "virtiofs"};
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
    outcome.observed = std::move(observed);
    outcome.facts = std::move(host);
    return outcome;
}

} // namespace microvmc::golden
