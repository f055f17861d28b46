// QEMU, on x86_64.
//
// What is odd about it, and where that is written (qemu: the QEMU 7.2 sources; linux: those of 6.1):
//
// - `microvm` is its machine for guests without firmware and PCI: every device on virtio-mmio, 24 slots with a second
//   I/O APIC (qemu: docs/system/i386/microvm.rst, hw/i386/microvm.c). The guest finds them through ACPI; without ACPI
//   it would need CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES, which distributions leave out.
// - Under TCG that machine gives a kernel nothing to calibrate its TSC by: stock kernels hang in a few of ten boots,
//   unless `tsc_early_khz=` tells it, of Linux 5.8 and later (linux: arch/x86/kernel/tsc.c). TCG passes the host's TSC
//   through, so that the host's frequency is the right one. Nothing is there to check the TSC against either but ticks,
//   which emulation loses: without `tsc=reliable` a busy host's guest calls its TSC unstable, and its clock falls
//   behind (seen: 221 of 733 ms; linux: kernel/time/clocksource.c). Without a CMOS clock (`rtc=off`) a boot takes 2 s
//   longer.
// - virtio-mmio devices are of the legacy kind by default (`virtio-mmio.force-legacy`).
// - virtio-console is a module in distribution kernels, so an early panic is seen only on the serial port.
// - An ELF kernel is booted by its PVH note (qemu: hw/i386/x86.c, load_elfboot), which spares the guest its own
//   decompressor, and KASLR with it.
// - By firmware it boots as a PC: SeaBIOS by itself, or what `-bios` names (OVMF). Such a guest has none of our init,
// so
//   that its end and its reboots are QEMU's to see: it reboots in the same process.
// - In options a comma is written twice (keyval.h); `-append` is passed as it is, and quoted for the guest's kernel.
// - `-no-reboot` makes a guest's reset the end of the process, as poweroff is; both exit 0.
// - The user network forwards IPv4 only (`hostfwd`; qemu: net/slirp.c), and its DNS forwarder needs an address in the
//   guest's network.
// - virtiofs is a vhost-user device, whose server needs the guest's memory as a shared mapping. QEMU doesn't connect to
//   one again (seen with 7.2: the device refuses a chardev that reconnects), so that a guest that lost its server hangs
//   in its files: the machine is what is restarted.
// - A server socket of its is removed when it ends, and replaced when it starts.

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/keyval.h"
#include "runtime/backends/list.h"
#include "runtime/backends/parts.h"
#include "runtime/backends/qemu_control.h"
#include "runtime/cloud_init.h"
#include "runtime/error.h"
#include "runtime/virtiofs.h"
#include "runtime/volume.h"

#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <variant>

namespace microvmc {

namespace {

constexpr std::string_view agent_port = "microvmc.agent";
constexpr std::size_t microvm_slots = 24;
constexpr std::size_t q35_slots = 30;          // 32, less the host bridge and the ISA bridge
constexpr std::uint64_t plugged_block_mib = 2; // virtio-mem's block, by default a transparent huge page
constexpr std::uint16_t first_vnc_port = 5900; // of display 0; it takes numbers of displays

// What QEMU's user network gives by default (qemu: docs/system/devices/net.rst).
constexpr Traits::UserNetwork user_network{"10.0.2.15/24", "10.0.2.2", "10.0.2.3"};

// Linux' number, "6.1.0-56-amd64" -> 6.1; nothing when the release is unknown.
struct KernelVersion {
    unsigned major = 0;
    unsigned minor = 0;
    friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
};

std::optional<KernelVersion> kernel_version(std::string_view release) {
    KernelVersion version;
    const char* end = release.data() + release.size();
    const auto major = std::from_chars(release.data(), end, version.major);
    if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.') { return std::nullopt; }
    if (std::from_chars(major.ptr + 1, end, version.minor).ec != std::errc{}) { return std::nullopt; }
    return version;
}

// The first that has tsc_early_khz=, merged on 2020-06-03.
constexpr KernelVersion first_with_tsc_early_khz{5, 8};

bool has_display(const VmPlan& vm) {
    return !vm.graphics.backend.empty();
}

bool has_usb(const VmPlan& vm) {
    return std::ranges::any_of(vm.host_devices, [](const HostDevicePlan& device) { return device.bus == "usb"; });
}

// Random numbers, the agent's port, and one for each device, a balloon, a root that isn't in memory, memory that is
// plugged in, vsock, a display with its keyboard and pointer, a USB controller.
std::size_t virtio_devices(const VmPlan& vm) {
    const std::size_t root = vm.root.kind == RootPlan::Kind::initramfs ? 0 : 1;
    const std::size_t cloud_init = vm.cloud_init.instance_id.empty() ? 0 : 1;
    const std::size_t display = has_display(vm) ? 3 : 0;
    return 2 + root + cloud_init + display + (has_balloon(vm) ? 1 : 0) + (vm.mem_max_mib != 0 ? 1 : 0) +
           (vm.vsock_cid != 0 ? 1 : 0) + (has_usb(vm) ? 1 : 0) + vm.volumes.size() + vm.shares.size() +
           vm.interfaces.size() + vm.host_devices.size();
}

// Why `microvm` is not safe; empty when it is.
std::string against_microvm(const VmPlan& vm, const HostFacts& facts) {
    if (vm.arch != "x86_64") { return "microvm is a machine of x86_64"; }
    if (vm.mem_max_mib != 0) { return "memory that is plugged in needs PCI"; }
    if (has_display(vm)) { return "a display needs PCI"; }
    if (!vm.host_devices.empty()) { return "devices of the host need PCI"; }
    if (virtio_devices(vm) > microvm_slots) {
        return fmt::format("{} virtio devices, microvm has {} slots", virtio_devices(vm), microvm_slots);
    }
    const std::optional<KernelVersion> version = kernel_version(vm.kernel.release);
    if (!version) { return "microvm needs a kernel whose release is known"; }
    if (*version < first_with_tsc_early_khz) {
        return fmt::format("Linux {} has no tsc_early_khz=, which microvm needs", vm.kernel.release);
    }
    if (vm.kernel.modules.empty()) { return "the kernel comes without modules, so it may lack virtio-mmio"; }
    if (vm.accel == "tcg" && facts.tsc_khz == 0) {
        return "under TCG microvm's guests need the host's TSC frequency, which is not constant or unknown";
    }
    return {};
}

bool is_cpu_word(std::string_view text) {
    const auto is_alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && is_alphanumeric(text.front()) &&
           std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

// A feature as `-cpu` takes it behind a comma, which can't be escaped there: "+avx", "-avx", "vendor=GenuineIntel".
bool is_cpu_feature(std::string_view text) {
    if (text.starts_with('+') || text.starts_with('-')) { text.remove_prefix(1); }
    const std::size_t equals = text.find('=');
    return is_cpu_word(text.substr(0, equals)) &&
           (equals == std::string_view::npos || is_cpu_word(text.substr(equals + 1)));
}

// A model, and what it has besides or hasn't: "qemu64", "host,-avx,vendor=GenuineIntel".
bool is_cpu_model(std::string_view text) {
    std::size_t comma = text.find(',');
    if (!is_cpu_word(text.substr(0, comma))) { return false; }
    while (comma != std::string_view::npos) {
        text.remove_prefix(comma + 1);
        comma = text.find(',');
        if (!is_cpu_feature(text.substr(0, comma))) { return false; }
    }
    return true;
}

// What an interface can't be, by its type.
void interface_problems(const InterfacePlan& interface, const HostFacts& facts, std::vector<Problem>& found) {
    const std::string key = "interfaces." + interface.name;
    const bool is_user = interface.type == "user";
    const auto refuse_user = [&](bool asked, const char* why) {
        if (asked && is_user) { found.push_back({key, why, "use type tap, macvtap or bridge"}); }
    };
    refuse_user(interface.queues > 1, "QEMU's user network has one queue");
    refuse_user(interface.vhost == "on", "QEMU's user network is not in the host's kernel");
    refuse_user(interface.rate_mib != 0, "QEMU's user network has no limit to its rate");
    for (const ForwardPlan& forward : interface.forwards) {
        if (forward.from != "guest") { continue; }
        const std::string its = "forward-ports." + forward.name;
        if (!is_user) {
            found.push_back({its, "a guest that isn't in QEMU's user network has a way to the host by itself",
                             "let it connect to its gateway"});
        } else if (forward.proto != "tcp") {
            found.push_back({its, "QEMU's user network carries only TCP from the guest to the host",
                             "let the guest send to its gateway, which is the host's loopback"});
        } else if (!facts.tools.contains("socat")) {
            found.push_back(
                {its, "what the guest connects to is carried by socat, which is not installed", "apt install socat"});
        }
    }
}

// What QEMU can't have as another user: all else is opened for it.
void user_problems(const VmPlan& vm, std::vector<Problem>& found) {
    for (const InterfacePlan& interface : vm.interfaces) {
        if (interface.vhost != "on") { continue; }
        found.push_back({"interfaces." + interface.name,
                         fmt::format("a QEMU that runs as another user can't open {}", vhost_net_node),
                         "leave `vhost` out, or `vmm-user`"});
    }
    for (const HostDevicePlan& device : vm.host_devices) {
        found.push_back({"devices." + device.name,
                         "a hypervisor that runs as another user can't open the host's devices",
                         "leave `vmm-user` out"});
    }
    if (!vm.graphics.socket.empty()) {
        found.push_back({"graphics", "QEMU makes its display's socket itself, where another user may not",
                         "give the display an address and a port"});
    }
}

// What of the plan can't be had, and where it says so.
std::vector<Problem> problems(const VmPlan& vm, const HostFacts& facts) {
    std::vector<Problem> found;
    if (virtio_devices(vm) > q35_slots) {
        found.push_back({"", fmt::format("`{}` has {} virtio devices, and QEMU's machines have {} slots at most",
                                         vm.name, virtio_devices(vm), q35_slots)});
    }
    if (!vm.cpu.empty() && !is_cpu_model(vm.cpu)) {
        found.push_back({"cpu", "that is no CPU model, with or without features",
                         fmt::format("{} -cpu help shows them", vm.program)});
    } else if (vm.cpu.substr(0, vm.cpu.find(',')) == "host" && vm.accel != "kvm") {
        found.push_back({"cpu", "the host's own CPU needs KVM", "leave `cpu` out for the best that can be emulated"});
    }
    if (vm.vsock_cid != 0) { require_vhost_vsock(facts, found); }
    require_vhost_net(vm, facts, found);
    for (const InterfacePlan& interface : vm.interfaces) { interface_problems(interface, facts, found); }
    if (!vm.vmm_user.empty()) { user_problems(vm, found); }
    if ((vm.mem_max_mib - vm.mem_boot_mib) % plugged_block_mib != 0 ||
        (vm.mem_max_mib != 0 && (vm.mem_mib - vm.mem_boot_mib) % plugged_block_mib != 0)) {
        found.push_back(
            {"mem-max",
             fmt::format("memory is plugged in by {} MiB, which don't divide what is between", plugged_block_mib),
             fmt::format("have `mem` and `mem-max` be multiples of {} MiB", plugged_block_mib)});
    }
    if (has_display(vm) && vm.graphics.backend != "default" && vm.graphics.backend != "vnc") {
        found.push_back({"graphics", "that is no display of QEMU's that microvmc drives", "it has vnc"});
    } else if (vm.graphics.port != 0 && vm.graphics.port < first_vnc_port) {
        found.push_back({"graphics", fmt::format("QEMU's VNC server has ports from {} on", first_vnc_port),
                         fmt::format("take {} or a later one", first_vnc_port)});
    }
    return found;
}

// Where the kernel's console is, and what the guest must do for it.
std::vector<std::string> console_params(const VmPlan& vm) {
    std::vector<std::string> params;
    if (has_display(vm)) { params.emplace_back("console=tty0"); } // the last one is /dev/console
    if (vm.console != "off" || params.empty()) { params.push_back(console_param(vm)); }
    return params;
}

void choose_for_our_kernel(const VmPlan& vm, const HostFacts& facts, MachineChoice& choice) {
    const std::string against = against_microvm(vm, facts);
    choice.kernel_params = console_params(vm);
    choice.kernel_params.insert(choice.kernel_params.end(), init_params.begin(), init_params.end());
    add_hotplug_params(vm, choice.kernel_params);
    if (against.empty()) {
        choice.machine = "microvm";
        choice.machine_reason = "the smallest machine; nothing here needs PCI";
        if (vm.accel == "tcg") {
            choice.kernel_params.push_back(fmt::format("tsc_early_khz={}", facts.tsc_khz));
            choice.kernel_params.emplace_back("tsc=reliable");
        }
    } else {
        choice.machine = "q35";
        choice.machine_reason = against;
    }
    choose_kernel_image(vm, facts, {.title = "QEMU", .bzimage = true, .elf = true}, choice);
}

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    if (vm.firmware.empty()) {
        choose_for_our_kernel(vm, facts, choice);
    } else {
        choice.machine = "q35";
        choice.machine_reason = "what a disk's own loader expects";
    }
    std::ranges::move(problems(vm, facts), std::back_inserter(choice.problems));
    // https://github.com/microvm-nix/microvm.nix/issues/171
    if (vm.mem_mib == 2048) { choice.warning = "guests of QEMU are reported to hang with exactly 2048 MiB"; }
    return choice;
}

// One command line in the making. A QEMU that runs as another user opens nothing by name, but what is his anyhow: the
// supervisor hands it descriptors.
class CommandLine {
public:
    explicit CommandLine(const VmPlan& vm)
        : bus_(vm.machine == "microvm" ? "device" : "pci"), is_other_user_(!vm.vmm_user.empty()), argv_{vm.program} {}

    void flag(std::string_view option) { argv_.emplace_back(option); }
    void option(std::string_view option, std::string value) {
        argv_.emplace_back(option);
        argv_.push_back(std::move(value));
    }
    void option(std::string_view name, const KeyValues& values) { option(name, values.text()); }

    /// A virtio device of the machine's bus: virtio-blk is virtio-blk-device or virtio-blk-pci.
    [[nodiscard]] KeyValues virtio(std::string_view kind, std::string_view id) const {
        KeyValues device(fmt::format("{}-{}", kind, bus_));
        device.add("id", id);
        // vhost-user-fs was never of the legacy kind, and has no such property.
        if (bus_ == "pci" && kind != "vhost-user-fs") { device.add("disable-legacy", true); }
        return device;
    }
    [[nodiscard]] bool is_pci() const { return bus_ == "pci"; }

    [[nodiscard]] bool is_other_user() const { return is_other_user_; }
    /// The number of a descriptor that QEMU gets.
    std::string open(Descriptor::Kind kind, const std::string& path) {
        const int number = first_descriptor + static_cast<int>(descriptors_.size());
        descriptors_.push_back({.kind = kind, .number = number, .path = path});
        return std::to_string(number);
    }
    /// A file or directory, by a name that QEMU may open. It is opened anew, so that the user must have been given the
    /// file itself, if not the way there.
    std::string readable(const std::string& path) {
        return is_other_user_ ? "/proc/self/fd/" + open(Descriptor::Kind::read, path) : path;
    }
    /// A disk image, by a name that QEMU's block layer knows (qemu: docs/interop/qmp, add-fd); whose it is doesn't
    /// matter.
    std::string image(const std::string& path, bool read_only) {
        if (!is_other_user_) { return path; }
        const std::string number = open(read_only ? Descriptor::Kind::read : Descriptor::Kind::write, path);
        option("-add-fd", KeyValues().add("fd", number).add("set", number));
        return "/dev/fdset/" + number;
    }

    std::vector<std::string> take() { return std::move(argv_); }
    std::vector<Descriptor> take_descriptors() { return std::move(descriptors_); }

private:
    std::string bus_;
    bool is_other_user_;
    std::vector<std::string> argv_;
    std::vector<Descriptor> descriptors_;
};

KeyValues socket_chardev(CommandLine& line, std::string_view id, const std::string& path) {
    KeyValues chardev("socket");
    chardev.add("id", id);
    if (line.is_other_user()) {
        chardev.add("fd", line.open(Descriptor::Kind::listen, path));
    } else {
        chardev.add("path", path);
    }
    return chardev.add("server", true).add("wait", false);
}

// A vhost-user server works in the guest's memory.
bool shares_memory(const VmPlan& vm) {
    return std::ranges::any_of(vm.shares, [](const SharePlan& share) { return share.proto == "virtiofs"; });
}

// Memory that is a file, of huge pages or for others to map.
bool has_memory_file(const VmPlan& vm) {
    return shares_memory(vm) || !vm.hugepages.empty();
}

constexpr const char* boot_memory = "memory";

void add_machine(CommandLine& line, const VmPlan& vm) {
    line.option("-name", KeyValues().add("guest", vm.name));
    KeyValues machine(vm.machine);
    if (vm.machine == "microvm") {
        machine.add("acpi", true)
            .add("rtc", true)
            .add("pit", false)
            .add("pic", false)
            .add("pcie", false)
            .add("usb", false)
            .add("isa-serial", vm.console != "off" && vm.console != "virtio")
            .add("x-option-roms", false)
            .add("auto-kernel-cmdline", false);
        line.option("-global", KeyValues().add("virtio-mmio.force-legacy", "false"));
    } else {
        machine.add("usb", false).add("sata", false).add("smbus", false).add("vmport", false);
    }
    if (has_memory_file(vm)) { machine.add("memory-backend", boot_memory); }
    line.option("-machine", machine);
    line.option("-accel", vm.accel);
    line.option("-cpu", !vm.cpu.empty() ? vm.cpu : vm.accel == "kvm" ? "host" : "max");
    line.option("-smp", std::to_string(vm.vcpu));
}

// A piece of the guest's memory.
KeyValues memory_backend(const VmPlan& vm, std::string_view id, std::uint64_t mib) {
    KeyValues backend(has_memory_file(vm) ? "memory-backend-memfd" : "memory-backend-ram");
    backend.add("id", id).add("size", fmt::format("{}M", mib));
    if (shares_memory(vm)) { backend.add("share", true); }
    if (!vm.hugepages.empty()) {
        backend.add("hugetlb", true);
        if (vm.hugepages != "true") { backend.add("hugetlbsize", vm.hugepages == "1GiB" ? "1G" : "2M"); }
    }
    return backend;
}

void add_memory(CommandLine& line, const VmPlan& vm) {
    const std::uint64_t boot = vm.mem_max_mib == 0 ? vm.mem_mib : vm.mem_boot_mib;
    KeyValues size(fmt::format("{}M", boot));
    if (vm.mem_max_mib != 0) { size.add("maxmem", fmt::format("{}M", vm.mem_max_mib)); }
    line.option("-m", size);
    if (has_memory_file(vm)) { line.option("-object", memory_backend(vm, boot_memory, boot)); }
    if (vm.mem_max_mib == 0) { return; }
    line.option("-object",
                memory_backend(vm, "pluggable", vm.mem_max_mib - boot).add("reserve", !vm.hugepages.empty()));
    line.option("-device", line.virtio("virtio-mem", qemu_ids::plugged)
                               .add("memdev", "pluggable")
                               .add("block-size", fmt::format("{}M", plugged_block_mib))
                               .add("requested-size", fmt::format("{}M", vm.mem_mib - boot)));
}

void add_kernel(CommandLine& line, const VmPlan& vm, const std::string& initramfs) {
    line.option("-kernel", line.readable(kernel_path(vm)));
    line.option("-initrd", line.readable(initramfs));
    line.option("-append", command_line_of(vm));
}

void add_channels(CommandLine& line, const VmPlan& vm, const Lowered& lowered) {
    if (vm.console != "off") { line.option("-chardev", KeyValues("stdio").add("id", "console").add("signal", false)); }
    const bool is_virtio = vm.console == "virtio";
    line.option("-serial", vm.console == "off" || is_virtio ? "none" : "chardev:console");
    line.option("-chardev", socket_chardev(line, "qmp", lowered.control));
    line.option("-mon", KeyValues().add("chardev", "qmp").add("mode", "control"));
    const bool has_agent = lowered.agent.kind == AgentChannel::Kind::unix_stream;
    if (has_agent) { line.option("-chardev", socket_chardev(line, "agent", lowered.agent.socket)); }
    if (has_agent || is_virtio) {
        line.option("-device", line.virtio("virtio-serial", "channels").add("max_ports", "2"));
    }
    if (is_virtio) { line.option("-device", KeyValues("virtconsole").add("chardev", "console").add("nr", "0")); }
    if (has_agent) {
        line.option("-device", KeyValues("virtserialport").add("chardev", "agent").add("name", agent_port));
    }
    line.option("-device", line.virtio("virtio-rng", "random"));
}

void add_display(CommandLine& line, const GraphicsPlan& graphics) {
    std::string server = "unix:" + graphics.socket;
    if (graphics.socket.empty()) {
        const bool is_v6 = graphics.address.find(':') != std::string::npos;
        server = fmt::format("{}{}{}:{}", is_v6 ? "[" : "", graphics.address, is_v6 ? "]" : "",
                             graphics.port - first_vnc_port);
    }
    line.option("-vnc", KeyValues().add("vnc", server));
    line.option("-device", KeyValues("VGA").add("id", "display"));
    line.option("-device", line.virtio("virtio-keyboard", "keyboard"));
    line.option("-device", line.virtio("virtio-tablet", "pointer"));
}

void add_vsock(CommandLine& line, std::uint32_t cid) {
    KeyValues device = line.virtio("vhost-vsock", "vsock");
    device.add("guest-cid", std::to_string(cid));
    if (line.is_other_user()) { device.add("vhostfd", line.open(Descriptor::Kind::write, "/dev/vhost-vsock")); }
    line.option("-device", device);
}

void add(CommandLine& line, const HostDevicePlan& device, std::size_t number) {
    const std::string id = fmt::format("device{}", number);
    if (device.bus == "pci") {
        line.option("-device", KeyValues("vfio-pci").add("id", id).add("host", device.path));
        return;
    }
    const std::size_t colon = device.path.find(':');
    line.option("-device",
                KeyValues("usb-host")
                    .add("id", id)
                    .add("vendorid", "0x" + device.path.substr(0, colon))
                    .add("productid", "0x" + device.path.substr(std::min(colon, device.path.size() - 1) + 1)));
}

void add_balloon(CommandLine& line, const BalloonPlan& balloon) {
    const bool automatic = balloon.mode == BalloonPlan::Mode::automatic;
    line.option("-device", line.virtio("virtio-balloon", qemu_ids::balloon)
                               .add("deflate-on-oom", balloon.deflate_on_oom || automatic)
                               .add("free-page-reporting", balloon.free_page_reporting || automatic));
}

void add_9p(CommandLine& line, std::string_view id, const std::string& source, std::string_view tag,
            std::string_view security_model, bool read_only) {
    line.option("-fsdev", KeyValues("local")
                              .add("id", id)
                              .add("path", line.readable(source))
                              .add("security_model", security_model)
                              .add("readonly", read_only)
                              .add("multidevs", "remap"));
    line.option("-device",
                line.virtio("virtio-9p", fmt::format("{}-device", id)).add("fsdev", id).add("mount_tag", tag));
}

// Ids are numbered: a block node's has 31 bytes at most (qemu: include/block/block_int-common.h), a name of ours as
// many by itself.
// The file of a block node, `prefix` before its keys.
void add_file(CommandLine& line, KeyValues& node, const std::string& prefix, const std::string& path, bool read_only) {
    node.add(prefix + "driver", "file")
        .add(prefix + "filename", line.image(path, read_only))
        .add(prefix + "locking", true);
    if (read_only) { node.add(prefix + "read-only", true); }
}

// The words of `-drive cache=` (qemu: docs/system/qemu-block-drivers, blockdev.c): past the host's page cache, without
// flushes, without a write cache that the guest sees.
struct CacheMode {
    std::string_view word;
    bool direct;
    bool no_flush;
    bool write_cache;
};
constexpr std::array cache_modes{
    CacheMode{"writeback", false, false, true},     CacheMode{"none", true, false, true},
    CacheMode{"writethrough", false, false, false}, CacheMode{"directsync", true, false, false},
    CacheMode{"unsafe", false, true, true},
};

CacheMode cache_of(const VolumePlan& volume) {
    const std::string_view word = volume.direct ? "none" : volume.cache.empty() ? "writeback" : volume.cache;
    const auto* const found = std::ranges::find(cache_modes, word, &CacheMode::word);
    if (found == cache_modes.end()) {
        throw Error(fmt::format("volume {}: QEMU has no cache mode {}", volume.name, word));
    }
    return *found;
}

void add_disk(CommandLine& line, const VolumePlan& volume, const std::string& name, bool boots = false) {
    const CacheMode cache = cache_of(volume);
    const std::string_view discard = volume.discard ? "unmap" : "ignore";
    KeyValues node;
    node.add("driver", image_driver(volume.format))
        .add("node-name", name)
        .add("read-only", volume.read_only)
        .add("discard", discard);
    if (cache.direct) { node.add("cache.direct", true); }
    if (cache.no_flush) { node.add("cache.no-flush", true); }
    add_file(line, node, "file.", volume.image, volume.read_only);
    node.add("file.discard", discard);
    if (!volume.backing.empty() && volume.format == "qcow2") {
        // By the plan, not by what the image's header says of it.
        node.add("backing.driver", image_driver(volume.backing_format)).add("backing.read-only", true);
        add_file(line, node, "backing.file.", volume.backing, true);
    }
    line.option("-blockdev", node);
    KeyValues device = line.virtio("virtio-blk", name + "-device");
    device.add("drive", name);
    if (!volume.serial.empty()) { device.add("serial", volume.serial); }
    if (!cache.write_cache) { device.add("write-cache", false); }
    if (!volume.discard) { device.add("discard", false); }
    if (boots) { device.add("bootindex", "0"); }
    line.option("-device", device);
}

// The first disk, when nothing else is booted.
bool boots_by_volumes(const VmPlan& vm) {
    return !vm.firmware.empty() && vm.root.kind == RootPlan::Kind::initramfs;
}

void add(CommandLine& line, const VmPlan& vm, const VolumePlan& volume, std::size_t number) {
    add_disk(line, volume, fmt::format("{}{}", qemu_ids::volume, number), number == 0 && boots_by_volumes(vm));
}

void add_cloud_init(CommandLine& line, const VmPlan& vm) {
    if (vm.cloud_init.instance_id.empty()) { return; }
    VolumePlan disk;
    disk.image = cloud_init_path(vm);
    disk.serial = "cidata";
    disk.read_only = true;
    add_disk(line, disk, "cloud-init");
}

void add_root(CommandLine& line, const VmPlan& vm) {
    const RootPlan& root = vm.root;
    switch (root.kind) {
    case RootPlan::Kind::initramfs: return;
    case RootPlan::Kind::share: add_9p(line, "root", root.source, root.tag, "none", true); return;
    case RootPlan::Kind::store: // the whole store: what is named needs others in it
        add_9p(line, "root", root.source.substr(0, root.source.rfind('/')), root.tag, "none", true);
        return;
    case RootPlan::Kind::image: {
        VolumePlan disk;
        disk.image = root.source;
        disk.format = root.format;
        disk.serial = root_serial;
        disk.read_only = root.read_only;
        add_disk(line, disk, "root", !vm.firmware.empty());
        return;
    }
    case RootPlan::Kind::dir:
    case RootPlan::Kind::tar:
    case RootPlan::Kind::oci: {
        VolumePlan disk;
        disk.image = root.image;
        disk.serial = root_serial;
        disk.read_only = true;
        add_disk(line, disk, "root");
        return;
    }
    }
}

void add(CommandLine& line, const VmPlan& vm, const SharePlan& share, std::size_t number) {
    const std::string id = fmt::format("share{}", number);
    if (share.proto == "9p") {
        add_9p(line, id, share.source, share.tag, share.security_model, share.read_only);
        return;
    }
    const std::string socket = virtiofs_socket(vm, share, number);
    KeyValues chardev("socket");
    chardev.add("id", id);
    if (line.is_other_user()) {
        chardev.add("fd", line.open(Descriptor::Kind::connect, socket));
    } else {
        chardev.add("path", socket);
    }
    line.option("-chardev", chardev);
    line.option("-device", line.virtio("vhost-user-fs", id + "-device").add("chardev", id).add("tag", share.tag));
}

// The guest's network, gateway and DNS server as the plan has them.
void add_user_network(KeyValues& netdev, const InterfacePlan& interface) {
    using boost::asio::ip::make_address_v4;
    for (const std::string& address : interface.addresses) {
        boost::system::error_code error;
        const boost::asio::ip::network_v4 network = boost::asio::ip::make_network_v4(address, error);
        if (error) { continue; } // IPv6
        netdev.add("net", network.canonical().to_string());
        if (!interface.gateway.empty()) { netdev.add("host", interface.gateway); }
        netdev.add("dhcpstart", network.address().to_string());
        for (const std::string& server : interface.dns) {
            const auto dns = make_address_v4(server, error);
            if (error || boost::asio::ip::network_v4(dns, network.prefix_length()).canonical() != network.canonical()) {
                continue; // outside: the guest reaches it through the gateway
            }
            netdev.add("dns", server);
            break;
        }
        return;
    }
}

std::string hostfwd(const ForwardPlan& forward, const InterfacePlan& interface) {
    if ((forward.host_address + forward.guest_address).find(':') != std::string::npos) {
        throw Error(fmt::format("port {} of {}: QEMU's user network forwards IPv4 only", forward.host_port,
                                forward.host_address),
                    "forward it from 127.0.0.1 or another IPv4 address");
    }
    std::string guest = forward.guest_address;
    if (guest.empty() && !interface.addresses.empty()) {
        guest = interface.addresses.front().substr(0, interface.addresses.front().find('/'));
    }
    return fmt::format("{}:{}:{}-{}:{}", forward.proto, forward.host_address, forward.host_port, guest,
                       forward.guest_port);
}

// A word as glib's g_shell_parse_argv reads it: that is how slirp takes a command line apart.
std::string in_single_quotes(std::string_view word) {
    std::string quoted = "'";
    for (const char c : word) { quoted += c == '\'' ? std::string("'\\''") : std::string(1, c); }
    return quoted + "'";
}

// A connection of the guest's to that address becomes one of socat's to the host. Either side may end what it sends
// and still listen for an hour.
std::string guestfwd(const ForwardPlan& forward) {
    const bool v6 = forward.host_address.find(':') != std::string::npos;
    const std::string host = v6 ? fmt::format("TCP6:[{}]:{}", forward.host_address, forward.host_port)
                                : fmt::format("TCP4:{}:{}", forward.host_address, forward.host_port);
    return fmt::format("tcp:{}:{}-cmd:{} -t 3600 STDIO {}", forward.guest_address, forward.guest_port,
                       in_single_quotes(forward.relay), in_single_quotes(host));
}

KeyValues user_netdev(const std::string& id, const InterfacePlan& interface) {
    KeyValues netdev("user");
    // No IPv6: the plan gives the guest no such address, and one that the network announced would lead nowhere.
    netdev.add("id", id).add("ipv6", false);
    add_user_network(netdev, interface);
    for (const ForwardPlan& forward : interface.forwards) {
        if (forward.from == "guest") {
            netdev.add("guestfwd", guestfwd(forward));
        } else {
            netdev.add("hostfwd", hostfwd(forward, interface));
        }
    }
    return netdev;
}

// A tap that is there, up and on its bridge: QEMU's own scripts would do that. A macvtap's device has the number of its
// interface, so that only who starts QEMU knows its name.
KeyValues tap_netdev(CommandLine& line, const std::string& id, const InterfacePlan& interface) {
    KeyValues netdev("tap");
    netdev.add("id", id);
    if (interface.type == "macvtap") {
        std::string queues;
        for (std::uint32_t i = 0; i < interface.queues; ++i) {
            queues += (i == 0 ? "" : ":") + line.open(Descriptor::Kind::macvtap, interface.id);
        }
        netdev.add(interface.queues > 1 ? "fds" : "fd", queues);
    } else {
        netdev.add("ifname", interface.id).add("script", "no").add("downscript", "no");
        if (interface.queues > 1) { netdev.add("queues", std::to_string(interface.queues)); }
    }
    if (interface.vhost == "on") { netdev.add("vhost", true); }
    return netdev;
}

void add(CommandLine& line, const InterfacePlan& interface, std::size_t number) {
    const std::string id = fmt::format("interface{}", number);
    line.option("-netdev", interface.type == "user" ? user_netdev(id, interface) : tap_netdev(line, id, interface));
    KeyValues device = line.virtio("virtio-net", id + "-device");
    device.add("netdev", id).add("mac", interface.mac);
    if (interface.queues > 1) {
        device.add("mq", true);
        // Two for each queue, for changes of the configuration and for control.
        if (line.is_pci()) { device.add("vectors", std::to_string(2 * interface.queues + 2)); }
    }
    if (interface.mtu != 0) { device.add("host_mtu", std::to_string(interface.mtu)); }
    if (line.is_pci()) { device.add("romfile", ""); } // nothing boots from it
    line.option("-device", device);
}

// Drivers that the guest loads, by name; what they depend on is found when the initramfs is made.
std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{vm.machine == "microvm" ? "virtio_mmio" : "virtio_pci", "virtio_console",
                                     "virtio_rng"};
    modules.insert(modules.end(), {"button", "evdev"}); // system_powerdown arrives as a key
    if (has_display(vm)) { modules.insert(modules.end(), {"bochs", "virtio_input"}); }
    add_device_modules(vm, modules);
    if (vm.vsock_cid != 0) { modules.emplace_back("vmw_vsock_virtio_transport"); }
    return modules;
}

// Whether it starts programs: those that carry what its guest connects to.
bool spawns(const VmPlan& vm) {
    return std::ranges::any_of(vm.interfaces, [](const InterfacePlan& interface) {
        return std::ranges::find(interface.forwards, "guest", &ForwardPlan::from) != interface.forwards.end();
    });
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    const bool by_firmware = !vm.firmware.empty();
    Lowered lowered;
    if (!by_firmware) {
        lowered.agent = {.kind = AgentChannel::Kind::unix_stream, .socket = vm.runtime_dir + "/agent.sock"};
    }
    lowered.control = vm.runtime_dir + "/qmp.sock";
    lowered.console_device = console_device(vm);
    lowered.agent_device = fmt::format("virtio-port:{}", agent_port);
    lowered.end = "poweroff";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    CommandLine line(vm);
    line.flag("-nodefaults");
    line.flag("-no-user-config");
    // A guest without our agent doesn't say that it reboots, so QEMU has to go on with it.
    if (!by_firmware) { line.flag("-no-reboot"); }
    line.option("-display", "none");
    // slirp's children lead a session: setsid(2) is among what "elevateprivileges" denies. No setuid program is heard,
    // the filter itself takes care of that (PR_SET_NO_NEW_PRIVS).
    const std::string_view carries = spawns(vm) ? "allow" : "deny";
    line.option("-sandbox", KeyValues("on")
                                .add("obsolete", "deny")
                                .add("elevateprivileges", carries)
                                .add("spawn", carries)
                                .add("resourcecontrol", "deny"));
    add_machine(line, vm);
    add_memory(line, vm);
    if (by_firmware) {
        if (vm.firmware != "default") { line.option("-bios", vm.firmware); }
    } else {
        add_kernel(line, vm, initramfs);
    }
    add_channels(line, vm, lowered);
    if (vm.vsock_cid != 0) { add_vsock(line, vm.vsock_cid); }
    if (has_display(vm)) { add_display(line, vm.graphics); }
    if (has_usb(vm)) { line.option("-device", KeyValues("qemu-xhci").add("id", "usb")); }
    if (has_balloon(vm)) { add_balloon(line, vm.balloon); }
    add_root(line, vm);
    add_cloud_init(line, vm);
    std::size_t volumes = 0;
    std::size_t shares = 0;
    std::size_t interfaces = 0;
    std::size_t host_devices = 0;
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [&](const VolumePlan& volume) { add(line, vm, volume, volumes++); },
                       [&](const SharePlan& share) { add(line, vm, share, shares++); },
                       [&](const InterfacePlan& interface) { add(line, interface, interfaces++); },
                       [&](const HostDevicePlan& passed) { add(line, passed, host_devices++); },
                   },
                   device);
    }
    lowered.children = virtiofs_servers(vm);
    std::vector<std::string> argv = line.take();
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    lowered.children.push_back({.role = "vmm",
                                .argv = std::move(argv),
                                .console = true,
                                .await_socket = lowered.control,
                                .chat = qemu_start_chat(vm),
                                .descriptors = line.take_descriptors()});
    return lowered;
}

// Devices are found through ACPI, on microvm's bus and on PCI; the console is the serial port; an ELF kernel is entered
// by its PVH note.
std::vector<std::string_view> kernel_options(const VmPlan& vm) {
    std::vector<std::string_view> options{"ACPI", "SERIAL_8250_CONSOLE"};
    if (vm.machine != "microvm") { options.emplace_back("PCI"); }
    if (vm.kernel.image == KernelImage::elf) { options.emplace_back("PVH"); }
    return options;
}

std::vector<std::string> load_argv(std::vector<std::string> argv, const std::string& /*directory*/) {
    argv.insert(argv.end(), {"-incoming", "defer", "-S"});
    return argv;
}

} // namespace

const Backend qemu{
    .traits =
        {
            .name = "qemu",
            .title = "QEMU",
            .programs = {{"x86_64", "qemu-system-x86_64"}},
            .install = "apt install qemu-system-x86",
            .capabilities = with_ours(with_virtiofsd({
                native("accel.kvm"),
                native("accel.tcg"),
                native("cpu.model"),
                native("memory.hotplug", "virtio-mem"),
                native("memory.hugepages"),
                native("balloon"),
                native("balloon.auto", "the guest returns by itself what it frees, and takes it back as it needs it"),
                native("balloon.initial"),
                native("balloon.deflate-on-oom"),
                native("balloon.free-page-reporting"),
                native("kernel.bzimage"),
                native("kernel.elf"),
                native("root.share"),
                native("root.store"),
                native("firmware"),
                native("volume.raw"),
                native("volume.qcow2"),
                native("volume.vhd"),
                native("volume.vhdx"),
                native("volume.write"),
                native("volume.direct"),
                native("volume.cache"),
                native("volume.discard"),
                native("volume.backing"),
                {.name = "volume.grow", .support = Support::native, .why = "grown while it runs", .remedy = {}},
                native("volume.serial"),
                native("volume.read-only"),
                native("share.9p"),
                lacking("share.image", "it has shares"),
                native("share.read-only"),
                lacking("share.dax", "its virtiofs device has no window to map files into"),
                native("share.security-model"),
                native("interface.user"),
                native("interface.tap"),
                native("interface.bridge"),
                native("interface.macvtap"),
                native("interface.queues", "of taps"),
                native("interface.vhost", "of taps"),
                bridged("interface.rate", "the host's kernel drops what is beyond it"),
                native("interface.mtu"),
                native("interface.unmanaged"),
                native("forward.tcp"),
                native("forward.udp"),
                bridged("forward.guest", "socat carries it; TCP alone"),
                lacking("forward.ipv6", "the user network forwards IPv4 only"),
                native("device.pci"),
                native("device.usb"),
                native("vsock"),
                native("console.serial"),
                native("console.virtio"),
                native("console.off"),
                native("graphics"),
                native("vmm-user"),
                native("shutdown"),
                native("pause"),
                native("snapshot"),
                native("snapshot.elsewhere"),
            })),
            .accels = {"kvm", "tcg"},
            .max_vcpu =
                255, // the least that both machines have (qemu: hw/i386: microvm.c 288, pc_q35.c 288; x2APIC apart)
            .user_network = user_network,
            .choose_machine = choose_machine,
            .cache_modes = {"writeback", "none", "writethrough", "directsync", "unsafe"},
            .discard_formats = {"raw", "qcow2"}, // qemu: block/vpc.c and block/vhdx.c have no bdrv_co_pdiscard
        },
    .lower = lower,
    .attach = attach_qemu,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
    .load_argv = load_argv,
};

} // namespace microvmc
