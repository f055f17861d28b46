#include "testkit/planning.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/resolve.h"
#include "compiler/text.h"
#include "runtime/backend.h"
#include "runtime/commands/pipeline.h"
#include "runtime/image_users.h"
#include "runtime/observe.h"
#include "testkit/exclusion.h"
#include "testkit/needs.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <string_view>

namespace microvmc::testkit {

namespace {

// What a hypervisor, or this host's part of one, can't do: no mistake of the spec's.
constexpr std::array lacks = {codes::kernel_lacks, codes::unsupported,    codes::no_hypervisor,    codes::no_accel,
                              codes::foreign_arch, codes::too_many_vcpus, codes::too_many_devices, codes::no_tool,
                              codes::needs_root,   codes::host_lacks,     codes::no_huge_pages};

bool is_lack(const Diagnostic& diagnostic) {
    return std::ranges::find(lacks, diagnostic.code) != lacks.end();
}

Planning skipped(std::string why, std::string where = {}) {
    return {.plan = {}, .verdict = {Outcome::skipped, std::move(why)}, .where = std::move(where), .details = {}};
}

/// Why the case's own text leaves this target out; empty: it doesn't.
std::string left_out_by_text(const Case& which, const Target& target) {
    if (is_excluded(which, target)) { return "its `exclude` leaves it out"; }
    for (const VmConfig& vm : which.config.vms) {
        const bool allowed = std::ranges::any_of(vm.hypervisor, [&](const Located<std::string>& name) {
            return name.value == "auto" || name.value == target.hypervisor;
        });
        if (!allowed) { return fmt::format("`hypervisor` of {} leaves it out", vm.name.value); }
        if (vm.accel.value != "auto" && vm.accel.value != target.accel) {
            return fmt::format("`accel` of {} asks for {}", vm.name.value, vm.accel.value);
        }
    }
    return {};
}

/// What is to be proven, when the hypervisor can't do any of it; empty: it can do some, or nothing is.
std::string nothing_to_prove(const Case& which, const Traits& traits, const std::string& version) {
    std::string first;
    for (const std::string& capability : which.proves) {
        std::string why = refusal(traits, capability, version);
        if (why.empty()) { return {}; }
        if (first.empty()) { first = std::move(why); }
    }
    return first;
}

/// The host as the target sees it: whoever names a kernel for a KVM that only interprets knows what that kernel can.
HostFacts facts_of(const HostFacts& facts, const Target& target) {
    HostFacts seen = facts;
    if (target.interpreted && target.accel == "kvm") { seen.kvm = {.state = KvmState::works, .reason = {}}; }
    return seen;
}

Planning failed(const Diagnostics& diagnostics, const Sources& sources) {
    std::vector<std::string> messages;
    const Diagnostic* first = nullptr;
    bool all_lack = true;
    for (const Diagnostic& diagnostic : diagnostics.all()) {
        if (diagnostic.severity != Severity::error) { continue; }
        if (first == nullptr) { first = &diagnostic; }
        all_lack = all_lack && is_lack(diagnostic);
        std::string message = diagnostic.message;
        for (const Note& note : diagnostic.notes) { message += fmt::format("; {}", note.message); }
        messages.push_back(printable(message));
    }
    const std::string where = first == nullptr ? std::string() : place_of(first->span, sources);
    if (all_lack) { return skipped(fmt::format("{}", fmt::join(messages, "; ")), where); }
    std::string message = messages.empty() ? "it can't be planned" : messages.front();
    if (messages.size() > 1) { message += fmt::format(" (and {} more)", messages.size() - 1); }
    return {.plan = {},
            .verdict = {Outcome::error, std::move(message)},
            .where = where,
            .details = render_text(diagnostics, sources, false)};
}

// User code of interpreted guests runs on the processor as it is, and finds registers that their kernels, which lack
// XSAVE there, don't keep for it: what glibc has in them is lost now and then (glibc: manual/tunables.texi).
constexpr const char* tunables = "GLIBC_TUNABLES";
constexpr const char* without_avx = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-XSAVE,-XSAVEC";

} // namespace

// The host's own model asks a KVM that interprets for registers that it lacks (QEMU: target/i386/kvm/kvm.c). Of AMD's
// without XSAVEERPTR Linux executes fnclex, which it can't (linux: arch/x86/include/asm/fpu/api.h,
// X86_BUG_FXSAVE_LEAK).
constexpr const char* cpu_of_interpreted = "qemu64,vendor=GenuineIntel";

int patience_of(const Target& target) {
    constexpr int of_interpreted = 5;
    return target.interpreted ? of_interpreted : 1;
}

std::map<std::string, std::string> environment_for(const Target& target) {
    if (!target.interpreted) { return {}; }
    return {{tunables, without_avx}};
}

Config config_for(Config config, const Target& target, const std::vector<std::uint16_t>& ports) {
    auto port = ports.begin();
    const bool chooses_cpu = refusal(backend(target.hypervisor).traits, "cpu.model", target.version).empty();
    for (VmConfig& vm : config.vms) {
        vm.hypervisor = {{.value = target.hypervisor, .span = {}}};
        vm.accel.value = target.accel.empty() ? "auto" : target.accel;
        if (!target.kernel.empty()) { vm.kernel.value = target.kernel; }
        for (const auto& [name, value] : environment_for(target)) {
            // Linux makes a variable of its first process of a parameter that it doesn't know.
            vm.kernel_params.push_back({.value = fmt::format("{}={}", name, value), .span = {}});
            if (!vm.command.empty()) { vm.env.emplace_back(name, Located<std::string>{.value = value, .span = {}}); }
        }
        vm.startup_timeout.value *= patience_of(target);
        vm.shutdown_timeout.value *= patience_of(target);
        if (target.interpreted && target.accel == "kvm" && !vm.cpu && chooses_cpu) {
            vm.cpu = Located<std::string>{.value = cpu_of_interpreted, .span = {}};
        }
        for (VolumeConfig& volume : vm.volumes) {
            if (!volume.read_only.value) { volume.image = Opt<std::string>(); }
        }
        for (ForwardConfig& forward : vm.forward_ports) {
            if (forward.from.value != "host" || (forward.host && forward.host->port)) { continue; }
            if (port == ports.end()) { break; }
            if (!forward.host) { forward.host.emplace(); }
            forward.host->port = Located<std::int64_t>{.value = *port++, .span = {}};
        }
    }
    return config;
}

std::size_t open_ports(const Config& config) {
    std::size_t count = 0;
    for (const VmConfig& vm : config.vms) {
        count += static_cast<std::size_t>(std::ranges::count_if(vm.forward_ports, [](const ForwardConfig& forward) {
            return forward.from.value == "host" && (!forward.host || !forward.host->port);
        }));
    }
    return count;
}

HostFacts facts_for(const std::vector<const Config*>& configs, const std::vector<Target>& targets,
                    const Directories& where, const std::string& project) {
    FactsRequest all;
    const auto add = [](auto& wanted, const auto& more) {
        for (const auto& one : more) {
            if (std::ranges::find(wanted, one) == wanted.end()) { wanted.push_back(one); }
        }
    };
    for (const Target& target : targets) {
        if (target.kernel.empty()) { continue; }
        add(all.paths, std::vector{target.kernel});
        add(all.kernels, std::vector{target.kernel});
    }
    for (const Config* each : configs) {
        const FactsRequest asked = asked_by(*each, project.empty() ? "" : where.state, project);
        add(all.paths, asked.paths);
        add(all.kernels, asked.kernels);
        add(all.kernel_configs, asked.kernel_configs);
        add(all.oci_images, asked.oci_images);
        add(all.root_sources, asked.root_sources);
        add(all.devices, asked.devices);
        add(all.users, asked.users);
    }
    HostFacts facts = host_facts(std::move(all));
    facts.state_dir = where.state;
    facts.runtime_dir = where.runtime;
    facts.pinned.clear();
    for (auto& [path, found] : facts.paths) {
        if (found.used_by.empty()) { continue; }
        if (std::string user = image_user(where.runtime, path); !user.empty()) { found.used_by = std::move(user); }
    }
    return facts;
}

std::vector<ImageCopy> images_to_copy(const Config& written, const HostFacts& facts, const std::string& project) {
    std::vector<ImageCopy> copies;
    for (const VmConfig& vm : written.vms) {
        for (const VolumeConfig& volume : vm.volumes) {
            if (!volume.image || volume.read_only.value) { continue; }
            const auto known = facts.paths.find(volume.image->value);
            if (known == facts.paths.end() || known->second.kind != PathFacts::Kind::file) { continue; }
            copies.push_back({.from = volume.image->value,
                              .to = fmt::format("{}/{}/volumes/{}.img", project_state_dir(facts.state_dir, project),
                                                vm.name.value, volume.name.value)});
        }
    }
    return copies;
}

std::optional<Planning> refused(const Case& which, const Target& target, const std::vector<Need>& needs,
                                const Sources& sources, const HostFacts& facts) {
    if (!target.unusable.empty()) { return skipped(target.unusable); }
    if (std::string why = left_out_by_text(which, target); !why.empty()) { return skipped(std::move(why)); }
    const Traits& traits = backend(target.hypervisor).traits;
    for (const Need& need : needs) {
        std::string why = refusal_here(traits, need.capability, target.version, facts);
        if (!why.empty()) { return skipped(std::move(why), place_of(need.span, sources)); }
    }
    if (std::string why = nothing_to_prove(which, traits, target.version); !why.empty()) {
        return skipped(std::move(why));
    }
    return std::nullopt;
}

Planning plan_machines(const Config& config, const Target& target, const Sources& sources, const HostFacts& facts,
                       const std::string& project, const Observed& observed) {
    Planning planning;
    Diagnostics diagnostics;
    planning.plan =
        resolve(config, sources, all_traits(), facts_of(facts, target), observed, {.project = project}, diagnostics);
    return planning.plan ? planning : failed(diagnostics, sources);
}

Planning plan_case(const Case& which, const Target& target, const Config& config, const std::vector<ImageCopy>& copies,
                   const Sources& sources, const HostFacts& facts, const std::string& project) {
    if (auto planning = refused(which, target, step_needs(which), sources, facts)) { return std::move(*planning); }
    HostFacts seen = facts;
    for (const ImageCopy& copy : copies) { seen.paths[copy.to] = facts.paths.at(copy.from); }
    return plan_machines(config, target, sources, seen, project, {});
}

std::string directory_of(const Case& which, const Sources& sources) {
    for (const Step& step : which.steps) {
        if (step.span.known() && step.span.file < sources.files.size()) {
            return sources.files[step.span.file].directory;
        }
    }
    return "/";
}

std::string place_of(const Span& span, const Sources& sources) {
    if (!span.known() || span.file >= sources.files.size()) { return {}; }
    return fmt::format("{}:{}:{}", sources.files[span.file].path, span.begin.line, span.begin.column);
}

} // namespace microvmc::testkit
