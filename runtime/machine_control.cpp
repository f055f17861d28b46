#include "runtime/machine_control.h"

#include "runtime/error.h"
#include "runtime/machine_connection.h"

#include <fmt/format.h>

#include <algorithm>

namespace microvmc {

namespace {

// A VMM has one client at a time, and each is done within milliseconds.
constexpr std::chrono::milliseconds attach_timeout{5'000};

} // namespace

VmPlan plan_of(const MachineStatus& status) {
    try {
        return status.plan.get<VmPlan>();
    } catch (const nlohmann::json::exception& error) {
        throw Error(fmt::format("the plan that {} was started by can't be read: {}", status.vm, error.what()),
                    "it was started by another version of microvmc: stop it, and apply again");
    }
}

std::unique_ptr<Control> attach_control(const MachineStatus& status) {
    const VmPlan plan = plan_of(status);
    const Backend& its = backend(plan.hypervisor);
    const std::string control = its.lower(plan, {}).control;
    if (control.empty()) { throw Error(fmt::format("{} has nothing to control a machine by", its.traits.title)); }
    return its.attach(control, attach_timeout);
}

void require_capability(const VmPlan& plan, std::string_view name) {
    const Traits& traits = backend(plan.hypervisor).traits;
    const std::string why = refusal(traits, name, plan.program_version);
    if (!why.empty()) { throw Error(why, std::string(traits.capability(name).remedy)); }
}

bool renew_guest(const std::string& runtime_dir, std::string& why) {
    try {
        const Fd connection = machine::find_supervisor(runtime_dir);
        if (!connection) {
            why = "it ended";
            return false;
        }
        machine::request_now(connection, {{"op", "renew"}});
        return true;
    } catch (const Error& error) {
        why = error.what();
        return false;
    }
}

} // namespace microvmc
