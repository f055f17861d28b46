#include "testkit/targets.h"

#include "compiler/text.h"
#include "runtime/backend.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string_view>

namespace microvmc::testkit {

namespace {

/// A hypervisor by one of its accelerators, as this host has it.
Target look_at(const Traits& traits, std::string_view accel, const std::string& kernel, const HostFacts& facts) {
    Target target;
    target.hypervisor = traits.name;
    target.accel = accel;
    target.kernel = kernel;
    const auto program = std::ranges::find(traits.programs, facts.arch, &Traits::Program::arch);
    if (program == traits.programs.end()) {
        target.unusable = fmt::format("{} runs no {} guests", traits.title, facts.arch);
        return target;
    }
    const auto tool = facts.tools.find(std::string(program->name));
    if (tool == facts.tools.end()) {
        target.unusable = fmt::format("{} is not installed: there is no {} in PATH{}", traits.title, program->name,
                                      traits.install.empty() ? "" : fmt::format(" ({})", traits.install));
        return target;
    }
    target.program = tool->second.path;
    target.version = tool->second.version;
    if (accel != "kvm") { return target; }
    switch (facts.kvm.state) {
    case KvmState::works: return target;
    case KvmState::missing:
    case KvmState::forbidden: break;
    case KvmState::incomplete:
        // Stock kernels die on it. Whoever names a kernel may have one that doesn't.
        target.interpreted = true;
        if (!kernel.empty()) { return target; }
        break;
    }
    target.unusable = fmt::format("KVM doesn't work here: {}", facts.kvm.reason);
    return target;
}

/// What a name of the command line says.
struct Wanted {
    std::string_view hypervisor;
    std::string_view accel; ///< empty: the best that works
};

Wanted split(std::string_view name) {
    const std::size_t colon = name.find(':');
    return {name.substr(0, colon), colon == std::string_view::npos ? std::string_view() : name.substr(colon + 1)};
}

void check_name(const std::string& name) {
    const std::vector<std::string> names = target_names();
    if (std::ranges::find(names, name) != names.end()) { return; }
    const std::vector<std::string_view> views(names.begin(), names.end());
    const std::string_view near = nearest(name, views);
    throw Error(fmt::format("there is no hypervisor {}", printable(name)),
                near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                             : fmt::format("did you mean {}?", near));
}

/// The best of a hypervisor's accelerators that works; the best of all when none does.
std::string_view best_accel(const Traits& traits, const std::string& kernel, const HostFacts& facts) {
    for (const std::string_view accel : traits.accels) {
        const Target target = look_at(traits, accel, kernel, facts);
        if (target.unusable.empty() && !target.interpreted) { return accel; }
    }
    return traits.accels.empty() ? std::string_view() : traits.accels.front();
}

bool is_wanted(const TargetRequest& request, const Traits& traits, std::string_view accel, const std::string& kernel,
               const HostFacts& facts) {
    return request.all || std::ranges::any_of(request.hypervisors, [&](const std::string& name) {
               const Wanted wanted = split(name);
               return wanted.hypervisor == traits.name &&
                      (wanted.accel.empty() ? best_accel(traits, kernel, facts) : wanted.accel) == accel;
           });
}

std::vector<std::string> kernels_for(const TargetRequest& request, std::string_view hypervisor) {
    std::vector<std::string> own;
    std::vector<std::string> common;
    for (const NamedKernel& kernel : request.kernels) {
        if (kernel.hypervisor == hypervisor) { own.push_back(kernel.path); }
        if (kernel.hypervisor.empty()) { common.push_back(kernel.path); }
    }
    if (!own.empty()) { return own; }
    return common.empty() ? std::vector<std::string>{""} : common;
}

std::vector<std::string_view> accels_of(const Traits& traits) {
    return traits.accels.empty() ? std::vector<std::string_view>{""} : traits.accels;
}

} // namespace

std::vector<std::string> target_names() {
    std::vector<std::string> names;
    for (const Backend* backend : backends()) {
        names.emplace_back(backend->traits.name);
        for (const std::string_view accel : backend->traits.accels) {
            names.push_back(fmt::format("{}:{}", backend->traits.name, accel));
        }
    }
    return names;
}

NamedKernel named_kernel(const std::string& text) {
    const std::size_t equals = text.find('=');
    const std::string before = text.substr(0, equals);
    const bool is_own = equals != std::string::npos && std::ranges::any_of(backends(), [&](const Backend* each) {
                            return each->traits.name == before;
                        });
    return is_own ? NamedKernel{absolute_path(text.substr(equals + 1)), before} : NamedKernel{absolute_path(text), {}};
}

std::vector<Target> find_targets(const TargetRequest& request, const HostFacts& facts) {
    for (const std::string& name : request.hypervisors) { check_name(name); }
    const bool any = !request.all && request.hypervisors.empty();
    std::vector<Target> targets;
    for (const Backend* backend : backends()) {
        const Traits& traits = backend->traits;
        const std::vector<std::string> kernels = kernels_for(request, traits.name);
        for (const std::string_view accel : accels_of(traits)) {
            for (const std::string& kernel : kernels) {
                if (!any && !is_wanted(request, traits, accel, kernel, facts)) { continue; }
                Target target = look_at(traits, accel, kernel, facts);
                if (any && (!target.unusable.empty() || accel != best_accel(traits, kernel, facts))) { continue; }
                targets.push_back(std::move(target));
            }
        }
        if (any && !targets.empty()) { return targets; }
    }
    if (any && targets.empty()) { // so that it is said why
        return find_targets({.hypervisors = {}, .all = true, .kernels = request.kernels}, facts);
    }
    return targets;
}

} // namespace microvmc::testkit
