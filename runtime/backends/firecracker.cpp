// Firecracker, on x86_64.
//
// What is odd about it, and where that is written (firecracker: its sources of v1.17; linux: those of 6.1):
//
// - A file of JSON has all of a machine (docs/getting-started.md, --config-file), which boots when it was read; unknown
//   keys are refused, so that what a version doesn't know is left out. Its API is there as well.
// - A guest's reset, by the keyboard controller (reboot=k), is the end of the process; one that powers off halts, and
// the
//   process goes on (FAQ.md). So our guest always resets, having said what it meant.
// - Its serial console is its standard input and output, where its log would go as well: that goes to standard error.
// - Its vsock is a Unix socket on the host, asked for a port in words (docs/vsock.md); the agent uses it, so that each
//   machine has one.
// - Disks are raw images, and tell serial numbers of the host's, by device and inode (src/vmm/src/devices/virtio/block/
//   virtio/device.rs): the guest knows them by their order. By default a guest's flushes go nowhere (`cache_type`).
// - There is no sharing of directories: an image of one is made when the machine starts.
// - It boots an ELF, by Linux' own 64-bit protocol or its PVH note; a bzImage since 1.17.
// - Devices are on virtio-mmio, told by ACPI since 1.8 and on the kernel's command line besides; since 1.13 on PCI when
//   it is told so (--enable-pci), which has room for more of them, but asks more of the guest's kernel
//   (docs/kernel-policy.md).
// - Two virtual processors or any even number of them, or one (src/vmm/src/vmm_config/machine_config.rs).
// - Seccomp is on by itself, a filter for each of its threads (docs/seccomp.md).
// - Sockets of its stay when it ends, and it doesn't start where one is.

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/firecracker_control.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/list.h"
#include "runtime/backends/parts.h"
#include "runtime/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <variant>

namespace microvmc {

namespace {

constexpr std::string_view config_option = "--config-file";
constexpr std::string_view first_driven = "1.8";          // devices by ACPI
constexpr std::string_view first_with_reporting = "1.14"; // free pages, plugged memory
constexpr std::string_view first_with_bzimage = "1.17";
constexpr std::string_view first_with_pci = "1.13";
constexpr std::string_view pci = "pci"; ///< VmPlan::machine of one that has its devices there; else it has none
constexpr std::uint32_t cid_of_all = 3; // the first that a guest may have; each machine's vsock is its own
constexpr std::uint32_t most_vcpus = 32;
constexpr std::uint64_t slot_mib = 128; ///< of plugged memory, the least that it has
constexpr std::uint32_t seldom_s = 3'600;
// A line of the interrupt controller each, less those of devices that it always has: src/vmm/src/arch/x86_64/layout.rs.
constexpr std::size_t mmio_slots = 16;
constexpr std::size_t pci_slots = 31; ///< beside the bus's own: src/vmm/src/pci/bus.rs

std::size_t virtio_devices(const VmPlan& vm) {
    return 2 + (has_balloon(vm) ? 1 : 0) + (vm.mem_max_mib != 0 ? 1 : 0) + disks_of(vm).size() + vm.interfaces.size();
}

std::size_t most_devices(const VmPlan& vm) {
    return is_older(vm.program_version, first_with_pci) ? mmio_slots : pci_slots;
}

std::vector<Problem> problems(const VmPlan& vm) {
    std::vector<Problem> found;
    if (is_older(vm.program_version, first_driven)) {
        found.push_back({"", fmt::format("Firecracker {} is older than {}, the first that microvmc drives",
                                         vm.program_version, first_driven)});
    }
    if (const std::size_t devices = virtio_devices(vm); devices > most_devices(vm)) {
        found.push_back(
            {"", fmt::format("`{}` has {} devices, and Firecracker has {} slots", vm.name, devices, most_devices(vm))});
    }
    if (vm.vcpu > 1 && vm.vcpu % 2 != 0) {
        found.push_back({"vcpu", "Firecracker has one virtual CPU, or an even number",
                         fmt::format("take {} or {}", vm.vcpu - 1, vm.vcpu + 1)});
    }
    if (vm.hugepages == "1GiB") {
        found.push_back({"hugepages", "Firecracker has huge pages of 2MiB alone", "take these"});
    }
    const bool is_whole = (vm.mem_max_mib - vm.mem_boot_mib) % slot_mib == 0;
    if (vm.mem_max_mib != 0 && !is_whole) {
        found.push_back(
            {"mem-max",
             fmt::format("memory is plugged into slots of {} MiB, which don't divide what is between", slot_mib),
             fmt::format("have `mem-max` be a multiple of {} MiB more than `mem`", slot_mib)});
    }
    return found;
}

std::vector<std::string> kernel_params(const VmPlan& vm) {
    std::vector<std::string> params{console_param(vm)};
    for (const char* param : {"quiet", "rdinit=/microvmc/init", "reboot=k", "panic=-1"}) { params.emplace_back(param); }
    add_hotplug_params(vm, params);
    return params;
}

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    choice.kernel_params = kernel_params(vm);
    const std::size_t devices = virtio_devices(vm);
    if (devices > mmio_slots && most_devices(vm) > mmio_slots) {
        choice.machine = pci;
        choice.machine_reason = fmt::format("{} virtio devices, virtio-mmio has {} slots", devices, mmio_slots);
    }
    const bool bzimage = !is_older(vm.program_version, first_with_bzimage);
    choose_kernel_image(vm, facts, {.title = "Firecracker", .bzimage = bzimage, .elf = true}, choice);
    std::ranges::move(problems(vm), std::back_inserter(choice.problems));
    return choice;
}

nlohmann::json drive(const VolumePlan& volume, std::size_t number) {
    return {{"drive_id", firecracker_drive(number)},
            {"is_root_device", false},
            {"path_on_host", volume.image},
            {"is_read_only", volume.read_only},
            {"cache_type", "Writeback"}};
}

nlohmann::json drives(const VmPlan& vm) {
    nlohmann::json made = nlohmann::json::array();
    for (const VolumePlan& volume : disks_of(vm)) { made.push_back(drive(volume, made.size())); }
    return made;
}

nlohmann::json rate_limiter(std::uint64_t mib_a_second) {
    return {{"bandwidth", {{"size", mib_a_second << 20U}, {"refill_time", 1000}}}};
}

nlohmann::json interface(const InterfacePlan& interface, std::size_t number) {
    nlohmann::json made{{"iface_id", fmt::format("interface{}", number)},
                        {"host_dev_name", interface.id},
                        {"guest_mac", interface.mac}};
    if (interface.mtu != 0) { made["mtu"] = interface.mtu; }
    if (interface.rate_mib != 0) {
        made["rx_rate_limiter"] = rate_limiter(interface.rate_mib);
        made["tx_rate_limiter"] = rate_limiter(interface.rate_mib);
    }
    return made;
}

nlohmann::json interfaces(const VmPlan& vm) {
    nlohmann::json made = nlohmann::json::array();
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [](const VolumePlan&) {},     // a disk like others
                       [](const SharePlan&) {},      // likewise
                       [](const HostDevicePlan&) {}, // refused by the table of capabilities
                       [&](const InterfacePlan& each) { made.push_back(interface(each, made.size())); },
                   },
                   device);
    }
    return made;
}

nlohmann::json balloon(const VmPlan& vm) {
    const BalloonPlan& plan = vm.balloon;
    const bool automatic = plan.mode == BalloonPlan::Mode::automatic;
    nlohmann::json made{{"amount_mib", plan.initial_mib},
                        {"deflate_on_oom", plan.deflate_on_oom || automatic},
                        {"stats_polling_interval_s", seldom_s}};
    if (!is_older(vm.program_version, first_with_reporting)) {
        made["free_page_reporting"] = plan.free_page_reporting || automatic;
    }
    return made;
}

nlohmann::json configuration(const VmPlan& vm, const std::string& initramfs) {
    nlohmann::json made;
    made["boot-source"] = {
        {"kernel_image_path", kernel_path(vm)}, {"initrd_path", initramfs}, {"boot_args", command_line_of(vm)}};
    made["machine-config"] = {{"vcpu_count", vm.vcpu},
                              {"mem_size_mib", vm.mem_max_mib == 0 ? vm.mem_mib : vm.mem_boot_mib}};
    if (!vm.hugepages.empty()) { made["machine-config"]["huge_pages"] = "2M"; }
    made["drives"] = drives(vm);
    made["network-interfaces"] = interfaces(vm);
    made["vsock"] = {{"guest_cid", vm.vsock_cid == 0 ? cid_of_all : vm.vsock_cid},
                     {"uds_path", firecracker_vsock(vm.runtime_dir)}};
    made["entropy"] = nlohmann::json::object();
    if (has_balloon(vm)) { made["balloon"] = balloon(vm); }
    if (vm.mem_max_mib != 0) { made["memory-hotplug"] = {{"total_size_mib", vm.mem_max_mib - vm.mem_boot_mib}}; }
    return made;
}

std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{vm.machine == pci ? "virtio_pci" : "virtio_mmio", "virtio_rng",
                                     "vmw_vsock_virtio_transport"};
    add_device_modules(vm, modules);
    return modules;
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    Lowered lowered;
    lowered.control = vm.runtime_dir + "/api.sock";
    lowered.agent = {.kind = AgentChannel::Kind::hybrid_vsock,
                     .socket = firecracker_vsock(vm.runtime_dir),
                     .port = agent_vsock_port};
    lowered.agent_device = fmt::format("vsock:{}", agent_vsock_port);
    lowered.serials = false;
    lowered.console_device = console_device(vm);
    lowered.end = "reboot";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    const std::string file = vm.runtime_dir + "/firecracker.json";
    std::vector<std::string> argv{vm.program,    "--api-sock", lowered.control, "--log-path",
                                  "/dev/stderr", "--level",    "Warning"};
    argv.insert(argv.end(), {std::string(config_option), file});
    if (vm.machine == pci) { argv.emplace_back("--enable-pci"); }
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    lowered.children.push_back({.role = "vmm",
                                .argv = std::move(argv),
                                .console = vm.console != "off",
                                .await_socket = lowered.control,
                                .chat = firecracker_start_chat(vm),
                                .files = {{.path = file, .content = configuration(vm, initramfs).dump(2) + '\n'}}});
    return lowered;
}

/// Without a configuration: the machine comes from what is loaded.
std::vector<std::string> load_argv(std::vector<std::string> argv, const std::string& /*directory*/) {
    const auto option = std::ranges::find(argv, config_option);
    argv.erase(option, option + 2);
    return argv;
}

std::vector<std::string_view> kernel_options(const VmPlan& vm) {
    std::vector<std::string_view> options{"ACPI", "VIRTIO_VSOCKETS"};
    if (vm.machine == pci) {
        options.insert(options.end(), {"PCI", "VIRTIO_PCI"});
    } else {
        options.emplace_back("VIRTIO_MMIO");
    }
    if (vm.console != "off") { options.emplace_back("SERIAL_8250_CONSOLE"); }
    return options;
}

constexpr std::string_view raw_only = "it has raw images";
constexpr std::string_view no_shares = "it shares no directories";
constexpr std::string_view no_remote_root = "it shares no directories, and a root on an image is better made of one";

} // namespace

const Backend firecracker{
    .traits =
        {
            .name = "firecracker",
            .title = "Firecracker",
            .programs = {{"x86_64", "firecracker"}},
            .capabilities = with_ours(with_kvm_and_taps({
                native_since(first_with_reporting, "memory.hotplug", "virtio-mem"),
                native("memory.hugepages", "of 2 MiB"),
                native("balloon"),
                native_since(first_with_reporting, "balloon.auto",
                             "the guest returns by itself what it frees, and takes it back as it needs it"),
                native("balloon.initial"),
                native("balloon.deflate-on-oom"),
                native_since(first_with_reporting, "balloon.free-page-reporting"),
                native("kernel.bzimage", "before 1.17 its ELF is extracted"),
                native("kernel.elf"),
                lacking("firmware", "it has none"),
                lacking("root.share", no_remote_root, "set root.dir"),
                lacking("root.store", no_remote_root),
                native("volume.raw"),
                lacking("volume.qcow2", raw_only),
                lacking("volume.vhd", raw_only),
                lacking("volume.vhdx", raw_only),
                native("volume.write"),
                lacking("volume.serial", "its disks tell serial numbers of its own"),
                native("volume.read-only"),
                lacking("volume.direct", "it goes through the host's page cache"),
                lacking("volume.cache", "microvmc has it write back"),
                lacking("volume.discard", "its disks can't discard"),
                native("volume.backing", "a copy"),
                native("volume.grow", "grown while it runs"),
                lacking("share.9p", no_shares, "leave `proto` out, and set read-only = true for an image"),
                lacking("share.virtiofs", no_shares, "leave `proto` out, and set read-only = true for an image"),
                bridged("share.image", "a read-only erofs image, made when the machine starts"),
                bridged("share.read-only", "an image can't be written"),
                lacking("share.cache", no_shares),
                lacking("share.posix-acl", no_shares),
                lacking("share.xattr", no_shares),
                lacking("share.dax", no_shares),
                lacking("share.security-model", no_shares),
                lacking("share.id-map", no_shares),
                lacking("share.on-death", no_shares),
                lacking("share.socket", no_shares),
                lacking("share.extra-args", no_shares),
                lacking("interface.queues", "it has one queue"),
                lacking("interface.macvtap", "it opens taps by their names alone"),
                native_since("1.16", "interface.mtu"),
                native("interface.rate"),
                lacking("device.pci", "it passes no devices through"),
                lacking("device.usb", "it has no USB"),
                native("vsock", "on the host it is the Unix socket vsock.sock in the machine's runtime directory"),
                native("console.serial"),
                lacking("console.virtio", "it has a serial port alone"),
                native("console.off"),
                lacking("graphics", "it has no display"),
                bridged("shutdown", "through the guest's init"),
                native("pause"),
                native("snapshot"),
                lacking("snapshot.elsewhere", "the paths of its files are in what it saves"),
            })),
            .accels = {"kvm"},
            .max_vcpu = most_vcpus,
            .user_network = {},
            .choose_machine = choose_machine,
        },
    .lower = lower,
    .attach = attach_firecracker,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
    .load_argv = load_argv,
};

} // namespace microvmc
