#pragma once

#include "compiler/plan.h"
#include "compiler/traits.h"
#include "runtime/launch.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Pieces that backends have in common when they lower a machine. All of it is pure.

namespace microvmc {

/// Where the guest's agent listens on vsock: "mvmc", which nobody else takes for a port.
inline constexpr std::uint32_t agent_vsock_port = 0x6d76'6d63;

/// What our init's kernels are told; they end by a reset (reboot=t), which most hypervisors notice. `quiet` leaves
/// warnings and panics: every line costs a guest time on its serial port.
inline constexpr std::array init_params{"quiet", "rdinit=/microvmc/init", "panic=-1", "reboot=t"};

/// Where the guest's kernel has its console: "console=ttyS0". One that has none is told so (linux: printk.c,
/// console_setup), or it takes a serial port that isn't there, and waits for each of its characters.
std::string console_param(const VmPlan& vm);
/// The same as a file of the guest's: "/dev/ttyS0".
std::string console_device(const VmPlan& vm);

/// Lowered::console_piece of a VMM whose serial port has any number of bytes wait, of which its guest's driver takes
/// 256 at a time (linux: drivers/tty/serial/8250/8250_port.c), or has 64, and doesn't interrupt again for the rest.
inline constexpr std::uint32_t serial_piece = 16;

/// Adds what has plugged memory used at once, and most of it in a way that lets it be taken away again (linux:
/// Documentation/admin-guide/mm/memory-hotplug.rst); nothing when none can be plugged in.
void add_hotplug_params(const VmPlan& vm, std::vector<std::string>& params);

/// The file that is booted, in the form that the plan says.
std::string kernel_path(const VmPlan& vm);

/// The kernel's command line. Throws Error when it can't be written.
std::string command_line_of(const VmPlan& vm);

/// Adds the drivers of what a machine has on virtio and of its file systems, by name, each once; not the bus's.
void add_device_modules(const VmPlan& vm, std::vector<std::string>& modules);

/// File systems that a root may have, where nobody knows which: their modules are there then.
std::vector<std::string> root_file_systems(const VmPlan& vm);

/// Every disk, in the order in which the guest is to find them: the root when it is one, the volumes, the
/// images of shares, cloud-init's.
std::vector<VolumePlan> disks_of(const VmPlan& vm);

/// Which of those a volume is.
std::size_t disk_number(const VmPlan& vm, const std::string& volume);

/// The devices of its macvtaps, of one queue each, for a VMM that is given no other descriptors.
std::vector<Descriptor> macvtap_descriptors(const VmPlan& vm);
/// Under which of those the VMM finds the device of this one.
int macvtap_number(const VmPlan& vm, const InterfacePlan& interface);

/// The images of those that are raw (Child::raw_images).
std::vector<std::string> raw_images(const VmPlan& vm);

/// `argv` with one more environment variable, which is not among its arguments.
std::vector<std::string> with_environment(const std::string& name, const std::string& value,
                                          std::vector<std::string> argv);

/// Whether the VMM itself serves a share.
bool is_served_by_vmm(const SharePlan& share);
/// Whether a server of ours serves it.
bool has_virtiofs_server(const SharePlan& share);
/// The processes that serve virtiofs shares.
std::vector<Child> virtiofs_servers(const VmPlan& vm);

/// The directories that are shared read-only by a VMM that has no such flag: they are mounted read-only for it alone
/// (Child::read_only).
std::vector<std::string> read_only_shares(const VmPlan& vm);
/// Adds a problem for each of these that can't be: an ordinary user mounts nothing, and what the VMM itself writes
/// below such a directory, its sockets and images, would be read-only, too.
void refuse_read_only_shares(const VmPlan& vm, const HostFacts& facts, std::string_view title,
                             std::vector<Problem>& problems);

/// "snapshot": throws Error when a server shares directories with the machine, since what that holds is saved by
/// nobody.
void require_no_shares(const VmPlan& vm, std::string_view title);

/// Whether the machine has a balloon device.
bool has_balloon(const VmPlan& vm);

/// The number in a device's id: "volume12-device" with the prefix "volume" and the suffix "-device" -> 12.
std::optional<std::size_t> numbered(std::string_view id, std::string_view prefix, std::string_view suffix = {});

/// Adds a problem of `key` when this host has no such device node that we may use; `module`: that makes it.
void require_node(const HostFacts& facts, const char* node, std::string_view module, const std::string& key,
                  std::vector<Problem>& problems);
/// The same of vhost-vsock.
void require_vhost_vsock(const HostFacts& facts, std::vector<Problem>& problems);

/// The same of vhost-net, of each interface whose packets the host's kernel is to handle.
void require_vhost_net(const VmPlan& vm, const HostFacts& facts, std::vector<Problem>& problems);
inline constexpr const char* vhost_net_node = "/dev/vhost-net";

/// Adds a problem for each interface with several queues that a VMM can't have which opens taps of as many by their
/// name, one for each processor at most.
void refuse_odd_queues(const VmPlan& vm, std::string_view title, std::vector<Problem>& problems);

/// Lambdas as one visitor, one for each kind of device.
template <typename... F> struct Overloaded : F... { using F::operator()...; };
template <typename... F> Overloaded(F...) -> Overloaded<F...>; // clang 14 deduces none by itself

} // namespace microvmc
