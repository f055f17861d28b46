#include "runtime/backends/list.h"

#include "runtime/backend.h"
#include "runtime/error.h"
#include "runtime/kernel/config.h"

#include <fmt/format.h>

namespace microvmc {

namespace {

// One line a backend, in the order in which `auto` prefers them.
constexpr const Backend* all[] = {
    &qemu, &cloud_hypervisor, &firecracker, &crosvm, &kvmtool, &stratovirt, &alioth, &vfkit,
};

std::vector<const Backend*> stand_ins;

} // namespace

StandInBackends::StandInBackends(std::vector<const Backend*> instead) {
    stand_ins = std::move(instead);
}

StandInBackends::~StandInBackends() {
    stand_ins.clear();
}

std::span<const Backend* const> backends() {
    if (!stand_ins.empty()) { return stand_ins; }
    return all;
}

const Backend& backend(std::string_view name) {
    for (const Backend* candidate : backends()) {
        if (candidate->traits.name == name) { return *candidate; }
    }
    throw Error(fmt::format("there is no hypervisor {}", name),
                "the machine's record was written by another version of microvmc; apply it again");
}

std::vector<std::string_view> kernel_needs(const Backend& its, const VmPlan& vm) {
    std::vector<std::string_view> wanted = init_options();
    if (vm.vcpu > 1) { wanted.emplace_back("SMP"); }
    if (!vm.kernel.modules.empty()) { wanted.emplace_back("MODULES"); }
    for (const std::string_view option : its.kernel_options(vm)) {
        if (is_known_option(option)) { wanted.push_back(option); }
    }
    if (its.drivers == nullptr) { return wanted; }
    for (const std::string& driver : its.drivers(vm)) {
        if (const std::string_view option = option_of_module(driver); !option.empty()) { wanted.push_back(option); }
    }
    return wanted;
}

std::vector<Traits> all_traits() {
    std::vector<Traits> traits;
    for (const Backend* candidate : backends()) {
        traits.push_back(candidate->traits);
        traits.back().kernel_options = [candidate](const VmPlan& vm) { return kernel_needs(*candidate, vm); };
    }
    return traits;
}

} // namespace microvmc
