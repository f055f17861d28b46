#pragma once

#include "compiler/traits.h"
#include "runtime/action.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace microvmc {

/// What a backend makes of one VM: the processes, and where they are controlled.
struct Lowered {
    std::vector<Child> children;
    AgentChannel agent;
    std::string control;        ///< its control socket
    std::string console_device; ///< in the guest: "/dev/hvc0", "/dev/ttyS0"
    /// In the guest, guest/spec.h: "virtio-port:NAME", "vsock:PORT", "vsock-host:PORT", "tty:DEVICE".
    std::string agent_device;
    std::uint32_t console_piece = 0;  ///< Launch::console_piece
    bool serials = true;              ///< its disks tell the plan's serial numbers; else the order of disks_of counts
    std::string end;                  ///< what the guest must do for the VMM to exit: "reboot", "poweroff"
    std::vector<std::string> modules; ///< drivers that the guest needs, by name
    /// File systems of which the guest finds out which one it needs: their modules are loaded then.
    std::vector<std::string> file_systems;
};

/// What a VMM counts, since its start. What it doesn't know is absent.
struct ControlStats {
    std::optional<std::uint64_t> balloon_mib; ///< the balloon's size
    /// What the guest says of its memory, in bytes: "total", "free", "available", "caches", "swapped-in",
    /// "swapped-out"; and how often: "major-faults", "minor-faults".
    std::map<std::string, std::uint64_t> guest;
    struct Disk {
        std::uint64_t reads = 0;
        std::uint64_t writes = 0;
        std::uint64_t flushes = 0;
        std::uint64_t read_bytes = 0;
        std::uint64_t written_bytes = 0;
    };
    std::vector<Disk> disks; ///< in the order of the plan's volumes
};

/// The control handle of a running machine, over its VMM's own protocol. Errors are thrown as runtime Error with the
/// VMM's words; every call is bounded in time.
class Control {
public:
    virtual ~Control() = default;
    /// Asks the guest to power off as a button would. Returns once the VMM took the request.
    virtual void power_button() = 0;
    /// Ends the VMM at once, its caches flushed.
    virtual void quit() = 0;

    // What not every hypervisor can do: its traits say so. These throw for one that can't.

    /// "pause": the guest stands still. Nothing happens when it does already.
    virtual void pause();
    virtual void resume();
    [[nodiscard]] virtual bool paused();

    /// "balloon": the size that it should have, in MiB. Returns at once; it gets there as the guest can, or doesn't.
    virtual void set_balloon(std::uint64_t mib);
    /// Its size now.
    [[nodiscard]] virtual std::uint64_t balloon_mib();

    /// "memory.hotplug": how much memory the guest should have, in MiB, between what it booted with and the most it may
    /// have. Returns at once; it gets there as the guest can, or doesn't.
    virtual void set_memory(std::uint64_t mib);
    /// What it has now.
    [[nodiscard]] virtual std::uint64_t memory_mib();

    /// "snapshot": throws Error with the reason and a remedy when the machine can't be saved as it is now.
    virtual void require_savable(const VmPlan& plan);
    /// Writes all of the machine but its disks into an empty directory, as files in the VMM's own format. The machine
    /// must be paused; from then on the VMM lets go of its disks until it is resumed.
    virtual void save(const std::string& directory, std::chrono::milliseconds timeout);
    /// Takes over what `save` wrote, in a VMM that was started for it (Backend::load_argv); paused afterwards.
    virtual void load(const std::string& directory, std::chrono::milliseconds timeout);

    /// "volume.grow": makes a volume's image larger, which its guest learns of.
    struct Growth {
        std::size_t volume = 0; ///< its number among the plan's volumes
        std::size_t disk = 0;   ///< its number among all disks (parts.h, disks_of)
        std::string image;
        std::uint64_t bytes = 0;
    };
    virtual void grow_volume(const Growth& growth);

    [[nodiscard]] virtual ControlStats stats();
};

/// A hypervisor: a const struct, one file, one line in backends/list.cpp.
struct Backend {
    Traits traits;
    Lowered (*lower)(const VmPlan& vm, const std::string& initramfs);
    std::unique_ptr<Control> (*attach)(const std::string& control, std::chrono::milliseconds timeout);
    /// Options that the guest's kernel must have beside the drivers that `lower` names: "ACPI".
    std::vector<std::string_view> (*kernel_options)(const VmPlan& vm);
    /// The drivers that the guest needs, by name: Lowered::modules.
    std::vector<std::string> (*drivers)(const VmPlan& vm) = nullptr;
    /// "snapshot": the VMM's command line when it is to wait for Control::load with the directory of a saved state,
    /// instead of booting as `argv` says.
    std::vector<std::string> (*load_argv)(std::vector<std::string> argv, const std::string& directory) = nullptr;
};

/// All of them, in the order in which `auto` prefers them.
std::span<const Backend* const> backends();
const Backend& backend(std::string_view name);
std::vector<Traits> all_traits();
/// Options that the guest's kernel must have: what our init needs, the hypervisor and the machine's devices.
std::vector<std::string_view> kernel_needs(const Backend& its, const VmPlan& vm);

/// For tests: these are all the hypervisors that there are while it lives.
class StandInBackends {
public:
    explicit StandInBackends(std::vector<const Backend*> instead);
    ~StandInBackends();
    StandInBackends(const StandInBackends&) = delete;
    StandInBackends& operator=(const StandInBackends&) = delete;
};

} // namespace microvmc
