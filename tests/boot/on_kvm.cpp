#include "tests/boot/on_kvm.h"

#include "runtime/facts/kvm_probe.h"
#include "runtime/facts/tools.h"

#include <fmt/format.h>

#include <cstdlib>

namespace microvmc::boot {

namespace {

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

} // namespace

std::string kernel_for(const OnKvm& hypervisor) {
    return variable(hypervisor.kernel);
}

std::string unusable(const OnKvm& hypervisor) {
    if (find_program(hypervisor.program, variable("PATH")).empty()) {
        return fmt::format("{} is not installed", hypervisor.program);
    }
    const KvmFacts kvm = probe_kvm().facts;
    const bool named = !kernel_for(hypervisor).empty();
    if (kvm.state == KvmState::works || (kvm.state == KvmState::incomplete && named)) { return {}; }
    return fmt::format("KVM doesn't work here: {}; {} names no kernel for it", kvm.reason, hypervisor.kernel);
}

} // namespace microvmc::boot
