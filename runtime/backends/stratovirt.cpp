// StratoVirt, on x86_64.
//
// What is odd about it, and where that is written (stratovirt: its sources of 2.5.0; linux: those of 6.1):
//
// - Its `microvm` is driven, which boots a bzImage without firmware, ACPI or PCI. The guest is told of its devices on
// the
//   command line (stratovirt: machine/src/micro_common/mod.rs), so that it needs CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES,
//   and finds its interrupt controllers in an MP table. What is said of a device there takes a place from the command
//   line's 2047 bytes.
// - Each device has an interrupt line of its own, 5 to 15 (devices/src/sysbus/mod.rs). Four places of disks and two of
//   interfaces take six of them, used or not; there are no more of these, and five other devices, of which an interface
//   with vhost is one.
// - Options are split at commas and at equals signs, which nothing can escape (machine_manager/src/config/mod.rs,
//   str_slip_to_clap). Paths of an initrd, and a kernel parameter's value, have 255 bytes at most
//   (machine_manager/src/config/boot_source.rs).
// - A virtio-serial device of microvm has one port, a console (machine_manager/src/config/chardev.rs). With the console
//   on the serial port, that is the agent's; with a virtio console the agent has the serial port.
// - A serial port's output waits for a terminal; `stdio` needs one on standard input.
// - A disk is opened past the host's page cache unless it is told not to. Image files are locked by it.
// - `system_powerdown` ends it at once, its guest isn't told; a guest that powers off is never noticed, one that resets
//   by a triple fault (reboot=t) ends it, with 0.
// - It saves a machine that was stopped (docs/snapshot.md).
// - It logs what it was told, on standard error, unless an environment variable says that warnings will do
//   (util/src/logger.rs).
// - Seccomp is on by itself, unless `-disable-seccomp` is given. The filter of microvm has no fsync, by which qcow2
//   images are written, and no sleep, by which `stop` waits for processors (machine/src/micro_common/syscall.rs,
//   block_backend/src/file.rs, hypervisor/src/kvm/mod.rs).

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/list.h"
#include "runtime/backends/parts.h"
#include "runtime/backends/values.h"
#include "runtime/error.h"
#include "runtime/kernel_params.h"
#include "runtime/qmp.h"
#include "runtime/virtiofs.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <variant>

namespace microvmc {

using std::chrono::milliseconds;

namespace {

constexpr std::string_view title = "StratoVirt";
constexpr std::string_view unsayable = ",=";
constexpr std::size_t disk_places = 4;
constexpr std::size_t interface_places = 2;
constexpr std::size_t other_places = 5;
constexpr std::uint64_t least_mib = 128;
constexpr std::size_t longest_word = 255;
/// Of each device's " virtio_mmio.device=512@0xf0100a00:15".
constexpr std::size_t announcement = 38;
constexpr milliseconds command_timeout{5'000};
constexpr unsigned mib_shift = 20;

bool has_virtio_console(const VmPlan& vm) {
    return vm.console == "virtio";
}

// Whose packets the host's kernel handles: those take no place of an interface's.
std::size_t vhost_interfaces(const VmPlan& vm) {
    return static_cast<std::size_t>(std::ranges::count(vm.interfaces, "on", &InterfacePlan::vhost));
}

// Random numbers, the console's or the agent's port, and one for each share, a balloon, vsock, vhost.
std::size_t other_devices(const VmPlan& vm) {
    return 2 + vm.shares.size() + (has_balloon(vm) ? 1 : 0) + (vm.vsock_cid != 0 ? 1 : 0) + vhost_interfaces(vm);
}

void refuse_too_many(const VmPlan& vm, std::string_view what, std::size_t has, std::size_t most,
                     std::vector<Problem>& problems) {
    if (has <= most) { return; }
    problems.push_back(
        {"", fmt::format("`{}` has {} {}, and StratoVirt's microvm has room for {}", vm.name, has, what, most)});
}

std::vector<Problem> problems(const VmPlan& vm, const HostFacts& facts) {
    std::vector<Problem> found;
    refuse_too_many(vm, "disks", disks_of(vm).size(), disk_places, found);
    refuse_too_many(vm, "interfaces", vm.interfaces.size() - vhost_interfaces(vm), interface_places, found);
    refuse_too_many(vm, "devices beside disks and interfaces", other_devices(vm), other_places, found);
    if (vm.mem_mib < least_mib) {
        found.push_back({"mem", fmt::format("StratoVirt's machines have {} MiB at least", least_mib)});
    }
    for (const std::string& param : vm.kernel.params) {
        const std::size_t equals = param.find('=');
        if (param.size() - (equals == std::string::npos ? 0 : equals + 1) <= longest_word) { continue; }
        found.push_back({"kernel-params", fmt::format("StratoVirt takes no kernel parameter of more than {} bytes: {}",
                                                      longest_word, param)});
    }
    if (vm.vsock_cid != 0) { require_vhost_vsock(facts, found); }
    require_vhost_net(vm, facts, found);
    refuse_values(title, unsayable, image_values(vm), found);
    refuse_values(title, unsayable, share_tag_values(vm), found);
    refuse_values(title, unsayable, socket_values(vm), found);
    return found;
}

std::vector<std::string> kernel_params(const VmPlan& vm) {
    std::vector<std::string> params{console_param(vm)};
    params.insert(params.end(), init_params.begin(), init_params.end());
    return params;
}

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    choice.machine = "microvm";
    choice.machine_reason = "the one of its machines that boots without firmware";
    choice.kernel_params = kernel_params(vm);
    choose_kernel_image(vm, facts, {.title = title, .bzimage = true}, choice);
    std::ranges::move(problems(vm, facts), std::back_inserter(choice.problems));
    return choice;
}

/// One argument, "first,key=value,...".
class Options {
public:
    explicit Options(std::string_view first = {}) : text_(first) {}

    /// Throws Error for a value that can't be said; `choose_machine` has refused it before.
    Options& add(std::string_view key, std::string_view value) {
        require_values(title, unsayable, {{std::string(key), std::string(value)}});
        if (!text_.empty()) { text_ += ','; }
        text_.append(key).append("=").append(value);
        return *this;
    }
    Options& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
    Options& add(std::string_view key, bool on) { return add(key, std::string_view(on ? "on" : "off")); }
    Options& flag(std::string_view name) {
        text_.append(",").append(name);
        return *this;
    }

    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string text_;
};

class CommandLine {
public:
    explicit CommandLine(const std::string& program) : argv_{program} {}

    void option(std::string_view option, std::string value) {
        argv_.emplace_back(option);
        argv_.push_back(std::move(value));
    }
    void option(std::string_view name, const Options& values) { option(name, values.text()); }
    std::vector<std::string> take() { return std::move(argv_); }

private:
    std::vector<std::string> argv_;
};

Options server_socket(std::string_view first, const std::string& path) {
    return Options(first).add("path", path).flag("server").flag("nowait");
}

void add_channels(CommandLine& line, const VmPlan& vm, const Lowered& lowered) {
    line.option("-qmp", Options("unix:" + lowered.control).flag("server").flag("nowait"));
    line.option("-device", Options("virtio-serial-device").add("id", "channel"));
    if (has_virtio_console(vm)) {
        line.option("-chardev", Options("stdio").add("id", "hvc"));
        line.option("-serial", server_socket("socket", lowered.agent.socket));
    } else {
        line.option("-chardev", server_socket("socket", lowered.agent.socket).add("id", "hvc"));
        if (vm.console != "off") { line.option("-serial", "stdio"); }
    }
    line.option("-device", Options("virtconsole").add("id", "port").add("chardev", "hvc"));
    line.option("-object", Options("rng-random").add("id", "entropy").add("filename", "/dev/urandom"));
    line.option("-device", Options("virtio-rng-device").add("id", "random").add("rng", "entropy"));
}

void add_disk(CommandLine& line, const VolumePlan& disk, std::size_t number) {
    const std::string id = fmt::format("disk{}", number);
    Options drive;
    drive.add("id", id)
        .add("file", disk.image)
        .add("format", disk.format)
        .add("readonly", disk.read_only)
        .add("direct", disk.direct)
        .add("discard", disk.discard ? "unmap" : "ignore");
    line.option("-drive", drive);
    Options device("virtio-blk-device");
    device.add("id", id + "-device").add("drive", id);
    if (!disk.serial.empty()) { device.add("serial", disk.serial); }
    line.option("-device", device);
}

void add(CommandLine& line, const VmPlan& vm, const SharePlan& share, std::size_t number) {
    const std::string id = fmt::format("share{}", number);
    line.option("-chardev", Options("socket").add("id", id).add("path", virtiofs_socket(vm, share, number)));
    line.option("-device",
                Options("vhost-user-fs-device").add("id", id + "-device").add("chardev", id).add("tag", share.tag));
}

void add(CommandLine& line, const VmPlan& vm, const InterfacePlan& interface, std::size_t number) {
    const std::string id = fmt::format("interface{}", number);
    Options netdev("tap");
    netdev.add("id", id);
    if (interface.type == "macvtap") {
        netdev.add("fd", std::to_string(macvtap_number(vm, interface)));
    } else {
        netdev.add("ifname", interface.id);
    }
    if (interface.vhost == "on") { netdev.add("vhost", interface.vhost); }
    line.option("-netdev", netdev);
    line.option("-device",
                Options("virtio-net-device").add("id", id + "-device").add("netdev", id).add("mac", interface.mac));
}

void add_devices(CommandLine& line, const VmPlan& vm) {
    std::size_t disks = 0;
    std::size_t shares = 0;
    std::size_t interfaces = 0;
    for (const VolumePlan& disk : disks_of(vm)) { add_disk(line, disk, disks++); }
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [](const VolumePlan&) {}, // a disk like others
                       [&](const SharePlan& share) { add(line, vm, share, shares++); },
                       [&](const InterfacePlan& interface) { add(line, vm, interface, interfaces++); },
                       [](const HostDevicePlan&) {}, // its traits have none
                   },
                   device);
    }
    if (has_balloon(vm)) {
        const bool automatic = vm.balloon.mode == BalloonPlan::Mode::automatic;
        line.option("-device",
                    Options("virtio-balloon-device")
                        .add("id", "balloon")
                        .add("deflate-on-oom", vm.balloon.deflate_on_oom || automatic ? "true" : "false")
                        .add("free-page-reporting", vm.balloon.free_page_reporting || automatic ? "true" : "false"));
    }
    if (vm.vsock_cid != 0) {
        line.option("-device",
                    Options("vhost-vsock-device").add("id", "vsock").add("guest-cid", std::to_string(vm.vsock_cid)));
    }
}

std::string append_of(const VmPlan& vm) {
    std::string text = command_line_of(vm);
    const std::size_t devices = disk_places + interface_places + other_devices(vm);
    if (text.size() + devices * announcement > max_kernel_command_line) {
        throw Error(fmt::format("{}: the kernel's command line has no room left for what StratoVirt says of {} devices "
                                "there",
                                vm.name, devices),
                    "have fewer or shorter kernel parameters");
    }
    return text;
}

std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{"virtio_mmio", "virtio_console", "virtio_rng"};
    add_device_modules(vm, modules);
    if (vm.vsock_cid != 0) { modules.emplace_back("vmw_vsock_virtio_transport"); }
    return modules;
}

/// How a running machine is found again: its QMP socket, and the memory that it was started with, which StratoVirt
/// doesn't tell.
std::string control_place(const std::string& socket, std::uint64_t mem_mib) {
    return fmt::format("{}M@{}", mem_mib, socket);
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    if (initramfs.size() > longest_word) {
        throw Error(
            fmt::format("StratoVirt takes no initramfs whose path has more than {} bytes: {}", longest_word, initramfs),
            "name a state directory with a shorter path in MICROVMC_STATE_DIR");
    }
    const std::string socket = vm.runtime_dir + "/qmp.sock";
    Lowered lowered;
    lowered.control = socket;
    lowered.agent = {.kind = AgentChannel::Kind::unix_stream, .socket = vm.runtime_dir + "/agent.sock"};
    lowered.agent_device = has_virtio_console(vm) ? "tty:/dev/ttyS0" : "tty:/dev/hvc0";
    lowered.console_device = console_device(vm);
    lowered.end = "reboot";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    CommandLine line(vm.program);
    const bool shares_memory = !vm.shares.empty(); // with their servers, which work in it
    line.option("-machine", Options("microvm").add("dump-guest-core", false).add("mem-share", shares_memory));
    line.option("-accel", vm.accel);
    line.option("-cpu", "host");
    line.option("-smp", std::to_string(vm.vcpu));
    line.option("-m", fmt::format("{}M", vm.mem_mib));
    line.option("-kernel", kernel_path(vm));
    line.option("-initrd", initramfs);
    line.option("-append", append_of(vm));
    add_channels(line, vm, lowered);
    add_devices(line, vm);
    std::vector<std::string> argv = line.take();
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    lowered.children = virtiofs_servers(vm);
    lowered.children.push_back({.role = "vmm",
                                .argv = with_environment("STRATOVIRT_LOG_LEVEL", "warn", std::move(argv)),
                                .console = vm.console != "off",
                                .await_socket = socket,
                                .descriptors = macvtap_descriptors(vm)});
    lowered.control = control_place(socket, vm.mem_mib);
    return lowered;
}

class StratovirtControl final : public Control {
public:
    StratovirtControl(const std::string& socket, std::uint64_t mem_mib, milliseconds timeout)
        : qmp_(socket, timeout, title), mem_mib_(mem_mib) {}

    void power_button() override { throw Error("StratoVirt's microvm has no power button"); }
    void quit() override { ask("quit"); }

    // What is left to the guest is said and told.
    void set_balloon(std::uint64_t mib) override {
        if (mib >= mem_mib_) {
            throw Error(fmt::format("a balloon of {} MiB would take all of the guest's {} MiB", mib, mem_mib_));
        }
        qmp_.execute("balloon", {{"value", (mem_mib_ - mib) << mib_shift}}, command_timeout);
    }
    std::uint64_t balloon_mib() override {
        const auto left = ask("query-balloon").at("actual").get<std::uint64_t>() >> mib_shift;
        return mem_mib_ - std::min(mem_mib_, left);
    }

    ControlStats stats() override {
        ControlStats stats;
        try {
            stats.balloon_mib = balloon_mib();
        } catch (const QmpError&) {} // DeviceNotActive: it has no balloon
        return stats;
    }

private:
    nlohmann::json ask(const char* command) { return qmp_.execute(command, command_timeout); }

    Qmp qmp_;
    std::uint64_t mem_mib_;
};

std::unique_ptr<Control> attach(const std::string& control, milliseconds timeout) {
    const std::size_t end = control.find("M@");
    if (end == std::string::npos) { throw Error(fmt::format("this is no place of a StratoVirt's: {}", control)); }
    return std::make_unique<StratovirtControl>(control.substr(end + 2), std::stoull(control), timeout);
}

std::vector<std::string_view> kernel_options(const VmPlan& vm) {
    std::vector<std::string_view> options{"VIRTIO_MMIO_CMDLINE_DEVICES", "X86_MPPARSE", "VIRTIO_CONSOLE"};
    if (vm.console != "off") { options.emplace_back("SERIAL_8250_CONSOLE"); }
    return options;
}

constexpr std::string_view no_pci = "its microvm has no PCI";

} // namespace

const Backend stratovirt{
    .traits =
        {
            .name = "stratovirt",
            .title = title,
            .programs = {{"x86_64", "stratovirt"}},
            .capabilities =
                with_ours(
                    with_virtiofsd(
                        with_kvm_and_taps(
                            {
                                lacking("memory.hotplug", "virtio-mem is left out of it unless it is built with it"),
                                lacking("memory.hugepages",
                                        "it takes them from a hugetlbfs, which microvmc doesn't mount"),
                                native("balloon"),
                                native("balloon.auto",
                                       "the guest returns by itself what it frees, and takes it back as it needs it"),
                                lacking("balloon.initial", "a balloon's size is told once its driver is there",
                                        "resize it then"),
                                native("balloon.deflate-on-oom"),
                                native("balloon.free-page-reporting"),
                                native("kernel.bzimage"),
                                lacking("kernel.elf", "it boots a bzImage only",
                                        "name the bzImage (vmlinuz) of that kernel"),
                                lacking("firmware", "its microvm has none"),
                                lacking("root.share", "it has no 9p, and a root over virtiofs is still to come"),
                                lacking("root.store", "it has no 9p, and a root over virtiofs is still to come"),
                                native("volume.raw"),
                                lacking("volume.qcow2", "its own seccomp filter ends it when it writes one",
                                        "use format raw"),
                                lacking("volume.vhd", "it has raw images", "use format raw"),
                                lacking("volume.vhdx", "it has raw images", "use format raw"),
                                native("volume.write"),
                                native("volume.serial"),
                                native("volume.read-only"),
                                native("volume.direct"),
                                lacking("volume.cache", "it has one mode, and `direct`"),
                                native("volume.discard"),
                                lacking("volume.backing", "it opens no image with another behind it"),
                                lacking("volume.grow", "it has no command for that", "restart the machine"),
                                lacking("share.9p", "it has virtiofs", "use proto virtiofs"),
                                lacking("share.image", "it shares directories", "use proto virtiofs"),
                                native("share.read-only"),
                                lacking("share.dax", "it maps no files into the guest"),
                                lacking("share.security-model", "it has no 9p"),
                                bridged("interface.mtu", "the guest's own init sets it"),
                                lacking("device.pci", no_pci, "use qemu or cloud-hypervisor"),
                                lacking("device.usb", no_pci, "use qemu"),
                                native("interface.macvtap"),
                                native("interface.vhost", "when it is asked for: it takes a place of another device"),
                                native("vsock"),
                                native("console.serial"),
                                native("console.virtio"),
                                native("console.off"),
                                lacking("graphics", "its microvm has no display", "use qemu"),
                                bridged("shutdown", "the guest's own init is asked, by its agent"),
                                lacking("pause", "its own seccomp filter ends it while it waits for its processors to "
                                                 "stand still"),
                                lacking("snapshot", "it must stand still for that, which its own seccomp filter ends "
                                                    "it for"),
                                lacking("snapshot.elsewhere",
                                        "it must stand still for that, which its own seccomp filter ends it for"),
                            }))),
            .accels = {"kvm"},
            .max_vcpu = 254, // machine_manager/src/config/machine_config.rs, MAX_NR_CPUS
            .user_network = {},
            .choose_machine = choose_machine,
            .discard_formats = {"raw"},
            .vhost_costs = true,
        },
    .lower = lower,
    .attach = attach,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
};

} // namespace microvmc
