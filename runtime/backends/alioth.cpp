// alioth, on x86_64.
//
// What is odd about it, and where that is written (alioth: the crates alioth and alioth-cli of 0.12.0, and serde-aco):
//
// - A value in an option that has a comma or an equals sign, or begins with `id_`, is said apart: `-o id_x,VALUE` and
//   `key=id_x` (alioth-cli: src/objects.rs). Every text of the plan is said that way.
// - An ELF file is booted by its PVH note (`--pvh`), a bzImage with `-k`, each by an option of its own; a bzImage only
//   if it may be anywhere in memory (src/loader/linux/linux_x86_64.rs).
// - Its serial port is its standard input and output, which must be a terminal (src/device/console.rs); it has no other
//   port, so that the agent is on vsock, a Unix socket on the host (src/virtio/dev/vsock/uds_vsock.rs). Who asks there
//   for a port before the guest's driver has given its buffers stops the device for good, and of several who came
//   before only the first is taken: so that it's the guest who connects, to a socket of the port's name. What the host
//   has taken is only told with what the host says (no CREDIT_UPDATE).
// - Disks tell names of its own, so that they are told by their order (src/virtio/dev/blk.rs).
// - A vhost-user server needs the guest's memory in a file.
// - PCI devices of the host are named by their IOMMU's group, each of which is opened once (src/vm/vm.rs).
// - Nobody can ask it anything while it runs. A guest that powers off ends it with 0, one that resets by a triple fault
//   (reboot=t) as well; one that does so by the keyboard controller never does.
// - It has no seccomp filter and no sandbox for itself.

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/list.h"
#include "runtime/backends/parts.h"
#include "runtime/error.h"
#include "runtime/virtiofs.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <variant>

namespace microvmc {

using std::chrono::milliseconds;

namespace {

constexpr std::string_view title = "alioth";
constexpr std::uint32_t ethernet_mtu = 1500; // which must be said
constexpr std::uint32_t cid_of_all = 3;      // the first that a guest may have; each machine's vsock is its own

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    choice.kernel_params = {console_param(vm)};
    choice.kernel_params.insert(choice.kernel_params.end(), init_params.begin(), init_params.end());
    choose_kernel_image(vm, facts, {.title = title, .bzimage = true, .elf = true}, choice);
    // It puts a bzImage where only one that can be relocated runs (alioth: src/loader/linux/linux_x86_64.rs).
    const KernelFacts* kernel = find_kernel(facts, vm.kernel);
    const bool fixed = kernel != nullptr && !kernel->options.empty() && !kernel->options.contains("RELOCATABLE");
    if (choice.kernel_image == KernelImage::bzimage && fixed && kernel->compression != Compression::other) {
        choice.kernel_image = KernelImage::elf;
        choice.kernel_image_reason = "the bzImage isn't relocatable";
    }
    return choice;
}

class CommandLine {
public:
    explicit CommandLine(const std::string& program) : argv_{program, "--log-spec", "warn", "boot"} {}

    void flag(std::string_view name) { argv_.emplace_back(name); }
    void option(std::string_view name, std::string value) {
        argv_.emplace_back(name);
        argv_.push_back(std::move(value));
    }
    /// What stands for a text in an option.
    std::string object(const std::string& text) {
        if (text.find('\0') != std::string::npos) { throw Error("there is a NUL, which no program can be given"); }
        std::string id = fmt::format("id_{}", objects_.size());
        objects_.push_back(fmt::format("{},{}", id, text));
        return id;
    }
    std::vector<std::string> take() {
        for (std::string& each : objects_) { option("-o", std::move(each)); }
        return std::move(argv_);
    }

private:
    std::vector<std::string> argv_;
    std::vector<std::string> objects_;
};

void add_devices(CommandLine& line, const VmPlan& vm) {
    for (const VolumePlan& disk : disks_of(vm)) {
        line.option("--blk", fmt::format("file,path={},readonly={}", line.object(disk.image), disk.read_only));
    }
    std::size_t shares = 0;
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [](const VolumePlan&) {}, // a disk like others
                       [&](const SharePlan& share) {
                           const std::string socket = line.object(virtiofs_socket(vm, share, shares++));
                           line.option("--fs", fmt::format("vu,socket={},tag={}", socket, line.object(share.tag)));
                       },
                       [&](const InterfacePlan& interface) {
                           line.option("--net", fmt::format("tap,mac={},mtu={},if={}", interface.mac,
                                                            interface.mtu == 0 ? ethernet_mtu : interface.mtu,
                                                            line.object(interface.id)));
                       },
                       [](const HostDevicePlan&) {}, // by their groups
                   },
                   device);
    }
    std::map<std::string, std::string> groups; // of devices, in an order of their own
    for (const HostDevicePlan& device : vm.host_devices) {
        std::string& devices = groups[device.iommu_group];
        devices += (devices.empty() ? "" : ",") + device.path;
    }
    for (const auto& [group, devices] : groups) {
        line.option("--vfio-group",
                    fmt::format("path={},devices={}", line.object("/dev/vfio/" + group), line.object(devices)));
    }
}

std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{"virtio_pci", "virtio_rng", "vmw_vsock_virtio_transport"};
    add_device_modules(vm, modules);
    return modules;
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    Lowered lowered;
    const std::string vsock = vm.runtime_dir + "/vsock.sock";
    lowered.agent = {.kind = AgentChannel::Kind::served, .socket = fmt::format("{}_{}", vsock, agent_vsock_port)};
    lowered.agent_device = fmt::format("vsock-host:{}", agent_vsock_port);
    lowered.console_device = console_device(vm);
    lowered.console_piece = serial_piece;
    lowered.serials = false;
    lowered.end = "poweroff";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    CommandLine line(vm.program);
    line.option(vm.kernel.image == KernelImage::elf ? "--pvh" : "-k", kernel_path(vm));
    line.option("-i", initramfs);
    line.option("-c", command_line_of(vm));
    line.option("-p", fmt::format("count={}", vm.vcpu));
    line.option("-m", fmt::format("size={}M{}", vm.mem_mib, vm.shares.empty() ? "" : ",backend=memfd,shared=true"));
    line.flag("--entropy");
    const std::uint32_t cid = vm.vsock_cid == 0 ? cid_of_all : vm.vsock_cid;
    line.option("--vsock", fmt::format("uds,cid={},path={}", cid, line.object(vsock)));
    add_devices(line, vm);
    std::vector<std::string> argv = line.take();
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    lowered.children = virtiofs_servers(vm);
    lowered.children.push_back({.role = "vmm", .argv = std::move(argv), .console = true, .await_socket = vsock});
    return lowered;
}

std::unique_ptr<Control> attach(const std::string& /*control*/, milliseconds /*timeout*/) {
    throw Error("alioth has nothing to control a machine by");
}

std::vector<std::string_view> kernel_options(const VmPlan& vm) {
    std::vector<std::string_view> options{"ACPI", "PCI", "VIRTIO_PCI", "VIRTIO_VSOCKETS", "SERIAL_8250_CONSOLE"};
    options.emplace_back(vm.kernel.image == KernelImage::elf ? "PVH" : "RELOCATABLE");
    return options;
}

constexpr std::string_view no_control = "nobody can ask it anything while it runs";

const std::vector<Capability> its{
    lacking("memory.hotplug", no_control),
    lacking("memory.hugepages", "it has transparent ones only"),
    lacking("balloon", no_control),
    lacking("balloon.auto", no_control),
    lacking("balloon.initial", "its balloon is empty"),
    lacking("balloon.deflate-on-oom", "its balloon is empty"),
    lacking("balloon.free-page-reporting", "microvmc has no balloon that can't be changed"),
    native("kernel.bzimage"),
    native("kernel.elf"),
    lacking("firmware", "microvmc doesn't look for what it boots"),
    lacking("root.share", "a root over virtiofs is still to come", "use root.dir"),
    lacking("root.store", "a root over virtiofs is still to come", "use qemu"),
    native("volume.raw"),
    lacking("volume.qcow2", "it reads raw images", "use format raw"),
    lacking("volume.vhd", "it reads raw images", "use format raw"),
    lacking("volume.vhdx", "it reads raw images", "use format raw"),
    native("volume.write"),
    lacking("volume.serial", "its disks tell serial numbers of its own"),
    native("volume.read-only"),
    lacking("volume.direct", "it has one mode"),
    lacking("volume.cache", "it has one mode"),
    lacking("volume.discard", "its disks take no discard"),
    lacking("volume.backing", "it opens no image with another behind it"),
    lacking("volume.grow", no_control, "restart the machine"),
    lacking("share.9p", "it has virtiofs", "use proto virtiofs"),
    lacking("share.image", "it shares directories", "use proto virtiofs"),
    native("share.read-only"),
    lacking("share.dax", "microvmc doesn't drive its window for that"),
    lacking("share.security-model", "it has no 9p"),
    lacking("interface.macvtap", "it opens taps by their names alone"),
    native("interface.mtu"),
    native("device.pci"),
    lacking("device.usb", "it has no USB", "use qemu"),
    native("vsock", "on the host it is the Unix socket vsock.sock in the machine's runtime directory"),
    native("console.serial"),
    lacking("console.virtio", "it has no virtio console"),
    lacking("console.off", "it always has a serial port, which the guest's kernel takes for one", "leave it out"),
    lacking("graphics", "it has no display", "use qemu"),
    bridged("shutdown", "the guest's own init is asked, by its agent"),
    lacking("pause", no_control),
    lacking("snapshot", no_control),
    lacking("snapshot.elsewhere", no_control),
};

} // namespace

const Backend alioth{
    .traits =
        {
            .name = "alioth",
            .title = title,
            .programs = {{"x86_64", "alioth"}},
            .install = "cargo install alioth-cli",
            .capabilities = with_ours(with_virtiofsd(with_kvm_and_taps(its))),
            .accels = {"kvm"},
            .max_vcpu = 254,
            .user_network = {},
            .choose_machine = choose_machine,
        },
    .lower = lower,
    .attach = attach,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
};

} // namespace microvmc
