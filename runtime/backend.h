#pragma once

#include "compiler/traits.h"
#include "runtime/action.h"

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace microvmc {

/// What a backend makes of one VM: the processes, and where they are controlled.
struct Lowered {
    std::vector<Child> children;
    AgentChannel agent;
    std::string control;              ///< its control socket
    std::string console_device;       ///< in the guest: "/dev/hvc0", "/dev/ttyS0"
    std::string agent_device;         ///< in the guest, guest/spec.h: "virtio-port:NAME"
    std::string end;                  ///< what the guest must do for the VMM to exit: "reboot", "poweroff"
    std::vector<std::string> modules; ///< drivers that the guest needs, by name
};

/// The control handle of a running machine, over its VMM's own protocol. Errors are thrown as runtime Error with the
/// VMM's words.
class Control {
public:
    virtual ~Control() = default;
    /// Asks the guest to power off as a button would. Returns once the VMM took the request.
    virtual void power_button() = 0;
    /// Ends the VMM at once, its caches flushed.
    virtual void quit() = 0;
    /// Makes the image of the plan's `number`th volume larger, which its guest learns of.
    virtual void grow_volume(std::size_t number, std::uint64_t bytes) = 0;
};

/// A hypervisor: a const struct, one file, one line in backends/list.cpp.
struct Backend {
    Traits traits;
    Lowered (*lower)(const VmPlan& vm, const std::string& initramfs);
    std::unique_ptr<Control> (*attach)(const std::string& control, std::chrono::milliseconds timeout);
};

/// All of them, in the order in which `auto` prefers them.
std::span<const Backend* const> backends();
const Backend& backend(std::string_view name);
std::vector<Traits> all_traits();

/// For tests: these are all the hypervisors that there are while it lives.
class StandInBackends {
public:
    explicit StandInBackends(std::vector<const Backend*> instead);
    ~StandInBackends();
    StandInBackends(const StandInBackends&) = delete;
    StandInBackends& operator=(const StandInBackends&) = delete;
};

} // namespace microvmc
