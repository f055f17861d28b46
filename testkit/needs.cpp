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
    case VmStep::Verb::start:
    case VmStep::Verb::kill:
    case VmStep::Verb::reboot:
    case VmStep::Verb::wait: return {};
    }
    return {};
}

} // namespace

std::vector<Need> needs(const Case& which) {
    std::vector<Need> all;
    const auto add = [&all](std::string_view capability, const Span& span) {
        if (std::ranges::find(all, capability, &Need::capability) == all.end()) { all.push_back({capability, span}); }
    };
    for (const VmConfig& vm : which.config.vms) {
        for (const Need& need : vm.needs) { add(need.capability, need.span); }
    }
    for (const Step& step : which.steps) {
        const auto* vm = std::get_if<VmStep>(&step.what);
        const std::string_view capability = vm == nullptr ? std::string_view{} : capability_of(vm->verb);
        if (!capability.empty()) { add(find_capability(capability), step.span); }
    }
    return all;
}

} // namespace microvmc::testkit
