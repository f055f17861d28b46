#include "testkit/needs.h"

#include "compiler/traits.h"

#include <algorithm>
#include <string_view>

namespace microvmc::testkit {

namespace {

/// Empty: nothing that every hypervisor wouldn't do.
std::string_view capability_of(VmStep::Verb verb) {
    switch (verb) {
    case VmStep::Verb::stop:
    case VmStep::Verb::restart: return "shutdown";
    case VmStep::Verb::pause:
    case VmStep::Verb::resume: return "pause";
    case VmStep::Verb::snapshot:
    case VmStep::Verb::restore: return "snapshot";
    case VmStep::Verb::balloon: return "balloon";
    case VmStep::Verb::autostart: return "autostart";
    case VmStep::Verb::start:
    case VmStep::Verb::kill:
    case VmStep::Verb::reboot:
    case VmStep::Verb::wait: return {};
    }
    return {};
}

void add(std::vector<Need>& all, std::string_view capability, const Span& span) {
    if (std::ranges::find(all, capability, &Need::capability) == all.end()) { all.push_back({capability, span}); }
}

} // namespace

std::vector<Need> step_needs(const Case& which) {
    std::vector<Need> all;
    for (const Step& step : which.steps) {
        if (const auto* apply = std::get_if<ApplyStep>(&step.what)) {
            for (const VmConfig& changed : apply->config->vms) {
                for (const Need& need : changed.needs) { add(all, need.capability, need.span); }
            }
        }
        const auto* vm = std::get_if<VmStep>(&step.what);
        const std::string_view capability = vm == nullptr ? std::string_view{} : capability_of(vm->verb);
        if (!capability.empty()) { add(all, find_capability(capability), step.span); }
    }
    return all;
}

std::vector<Need> needs(const Case& which) {
    std::vector<Need> all;
    for (const VmConfig& vm : which.config.vms) {
        for (const Need& need : vm.needs) { add(all, need.capability, need.span); }
    }
    for (const Need& need : step_needs(which)) { add(all, need.capability, need.span); }
    return all;
}

} // namespace microvmc::testkit
