// vfkit, which drives Apple's Virtualization framework and so exists for macOS only: a row in the table of
// capabilities, that says so.

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/list.h"
#include "runtime/error.h"

namespace microvmc {

namespace {

constexpr std::string_view why = "it runs on macOS only";

std::vector<Capability> nothing() {
    std::vector<Capability> capabilities;
    for (const CapabilityName& known : known_capabilities()) {
        capabilities.push_back(lacking(known.name, why, "use qemu"));
    }
    return capabilities;
}

MachineChoice choose_machine(const VmPlan& /*vm*/, const HostFacts& /*facts*/) {
    MachineChoice choice;
    choice.problems.push_back({"", "vfkit runs on macOS only", "use qemu"});
    return choice;
}

Lowered lower(const VmPlan& /*vm*/, const std::string& /*initramfs*/) {
    throw Error("vfkit runs on macOS only");
}

std::unique_ptr<Control> attach(const std::string& /*control*/, std::chrono::milliseconds /*timeout*/) {
    throw Error("vfkit runs on macOS only");
}

std::vector<std::string_view> kernel_options(const VmPlan& /*vm*/) {
    return {};
}

} // namespace

const Backend vfkit{
    .traits =
        {
            .name = "vfkit",
            .title = "vfkit (for macOS only)",
            .programs = {},
            .capabilities = nothing(),
            .accels = {},
            .max_vcpu = 1,
            .user_network = {},
            .choose_machine = choose_machine,
        },
    .lower = lower,
    .attach = attach,
    .kernel_options = kernel_options,
};

} // namespace microvmc
