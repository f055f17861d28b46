// kvmtool (`lkvm`), on x86_64.
//
// What is odd about it, and where that is written (kvmtool: its sources of 2024-08, b48735e; linux: those of 6.1):
//
// - It boots a bzImage, or a flat binary, without ACPI (x86/kvm.c). What it says on the kernel's command line comes
//   before ours, `noapic noacpi pci=conf1 reboot=k panic=1 ... console=ttyS0 root=/dev/vda` (builtin-run.c), in the
//   same 2047 bytes; the last word of a parameter counts.
// - It can't be told to have no console; with another than the serial one its serial ports receive nothing
//   (hw/serial.c), so that the agent, which has the second, would be deaf.
// - A serial port that isn't the console's is a pty that it makes for itself (`--tty N`; term.c), for which it needs a
//   terminal on its standard input. On every port it takes a control-A for the beginning of a command to itself: what
//   is meant for the guest must be written twice.
// - A disk is `FILE,ro,direct`, a share `DIRECTORY,TAG`: a comma can't be part of a file's name, nor of a directory's
//   (disk/core.c, virtio/9p.c). It takes a file for what its first bytes say, and reads qcow2 images only; so a raw
//   one that begins as such isn't started with. Disks are four, and serial numbers are its own: they are told by their
//   order.
// - Shares are written by the user who runs it; a share has no read-only flag, so that the directory is made so for it.
// - Its control socket is $HOME/.lkvm/NAME.sock (main.c), so that each machine has a home of its own; asked by its own
//   command. It can be told to make a balloon bigger or smaller by so much, but doesn't tell how big it is.
// - Its `stop` ends it at once, the guest isn't told; a guest that powers off is never noticed, one that reboots ends
//   it, with 0.
// - It takes one connection for each time that it is told of some (EPOLLET in kvm-ipc.c): of two that come at once the
//   second waits for a third.
// - Who asks it and goes before the answer would end it by SIGPIPE (kvm-ipc.c), which is therefore ignored.
// - With vhost its guest is told of no feature that the host's kernel doesn't have by itself, a MAC address among them
//   (virtio/net.c, get_host_features).
// - It has no seccomp filter and no sandbox for itself.

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/list.h"
#include "runtime/backends/own_command.h"
#include "runtime/backends/parts.h"
#include "runtime/backends/values.h"
#include "runtime/error.h"
#include "runtime/kernel_params.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace microvmc {

using std::chrono::milliseconds;

namespace {

constexpr std::string_view title = "kvmtool";
constexpr std::string_view unsayable = ",";
constexpr std::size_t disk_places = 4;
constexpr std::uint64_t least_mib = 64;
constexpr milliseconds nudge_timeout{100};
constexpr const char* instance = "vm"; ///< its name in the machine's own directory
constexpr const char* agent_port = "1";
/// What it may put on the kernel's command line before ours.
constexpr std::size_t own_words = 220;

std::vector<Problem> problems(const VmPlan& vm, const HostFacts& facts) {
    std::vector<Problem> found;
    if (const std::size_t disks = disks_of(vm).size(); disks > disk_places) {
        found.push_back(
            {"", fmt::format("`{}` has {} disks, and kvmtool has room for {}", vm.name, disks, disk_places)});
    }
    if (vm.mem_mib < least_mib) {
        found.push_back({"mem", fmt::format("kvmtool's machines have {} MiB at least", least_mib)});
    }
    refuse_read_only_shares(vm, facts, title, found);
    if (vm.vsock_cid != 0) { require_vhost_vsock(facts, found); }
    refuse_values(title, unsayable, image_values(vm), found);
    refuse_values(title, unsayable, share_source_values(vm), found);
    return found;
}

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    choice.kernel_params.assign(init_params.begin(), init_params.end());
    choice.kernel_params.emplace_back("8250.nr_uarts=4");
    choose_kernel_image(vm, facts, {.title = title, .bzimage = true}, choice);
    std::ranges::move(problems(vm, facts), std::back_inserter(choice.problems));
    return choice;
}

/// A part of an option; throws Error for one that can't be said, which `choose_machine` has refused before.
const std::string& said(const std::string& key, const std::string& value) {
    require_values(title, unsayable, {{key, value}});
    return value;
}

class CommandLine {
public:
    explicit CommandLine(const std::string& program) : argv_{program, "run"} {}

    void flag(std::string_view name) { argv_.emplace_back(name); }
    void option(std::string_view name, std::string value) {
        argv_.emplace_back(name);
        argv_.push_back(std::move(value));
    }
    std::vector<std::string> take() { return std::move(argv_); }

private:
    std::vector<std::string> argv_;
};

std::string disk(const VolumePlan& volume) {
    return fmt::format("{}{}{}", said("image", volume.image), volume.read_only ? ",ro" : "",
                       volume.direct ? ",direct" : "");
}

void add_devices(CommandLine& line, const VmPlan& vm) {
    for (const VolumePlan& each : disks_of(vm)) { line.option("-d", disk(each)); }
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [](const VolumePlan&) {}, // a disk like others
                       [&](const SharePlan& share) {
                           line.option("--9p", fmt::format("{},{}", said("source", share.source), share.tag));
                       },
                       [&](const InterfacePlan& interface) {
                           line.option("-n", fmt::format("mode=tap,tapif={},guest_mac={}", said("id", interface.id),
                                                         said("mac", interface.mac)));
                       },
                       [](const HostDevicePlan&) {}, // its traits have none
                   },
                   device);
    }
    if (vm.interfaces.empty()) { line.option("-n", "mode=none"); } // else it has one to the user's network
}

std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{"virtio_pci", "virtio_rng"};
    add_device_modules(vm, modules);
    if (vm.vsock_cid != 0) { modules.emplace_back("vmw_vsock_virtio_transport"); }
    return modules;
}

std::string params_of(const VmPlan& vm) {
    std::string text = command_line_of(vm);
    if (text.size() + own_words > max_kernel_command_line) {
        throw Error(fmt::format("{}: the kernel's command line has no room left for what kvmtool says there", vm.name),
                    "have fewer or shorter kernel parameters");
    }
    return text;
}

// Of the machine whose home is there.
std::string socket_in(const std::string& place) {
    return fmt::format("{}/.lkvm/{}.sock", place, instance);
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    Lowered lowered;
    lowered.control = OwnCommand{vm.program, vm.runtime_dir}.text();
    lowered.agent = {.kind = AgentChannel::Kind::terminal, .socket = {}, .doubled = "\x01"};
    lowered.agent_device = fmt::format("tty:/dev/ttyS{}", agent_port);
    lowered.console_device = console_device(vm);
    lowered.console_piece = serial_piece;
    lowered.serials = false;
    lowered.end = "reboot";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    CommandLine line(vm.program);
    line.option("--name", instance);
    line.option("-k", kernel_path(vm));
    line.option("-i", initramfs);
    line.option("-p", params_of(vm));
    line.option("-c", std::to_string(vm.vcpu));
    line.option("-m", fmt::format("{}M", vm.mem_mib));
    line.option("--console", "serial");
    line.option("--tty", agent_port);
    line.flag("--rng");
    if (vm.vsock_cid != 0) { line.option("--vsock", std::to_string(vm.vsock_cid)); }
    add_devices(line, vm);
    std::vector<std::string> argv = line.take();
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    argv = with_environment("HOME", vm.runtime_dir, std::move(argv));
    argv.insert(argv.begin() + 1, "--ignore-signal=PIPE"); // env(1)
    Child vmm{.role = "vmm",
              .argv = std::move(argv),
              .console = true,
              .await_socket = {}, // bound with two slashes in its path, as /proc/net/unix has it
              .files = {{.path = vm.runtime_dir + "/.lkvm/", .content = {}}},
              .read_only = read_only_shares(vm),
              .raw_images = raw_images(vm)};
    lowered.children.push_back(std::move(vmm));
    return lowered;
}

class KvmtoolControl final : public Control {
public:
    explicit KvmtoolControl(OwnCommand command) : command_(std::move(command)) {}

    void power_button() override { throw Error("kvmtool has no power button"); }
    void quit() override { ask({"stop", "-n", instance}); }

    void pause() override { ask({"pause", "-n", instance}); } // nothing happens when it stands still
    void resume() override { ask({"resume", "-n", instance}); }
    bool paused() override { return ask({"list", "--run"}).find(" paused") != std::string::npos; }

private:
    std::string ask(std::vector<std::string> argv) {
        argv.insert(argv.begin(), command_.program);
        const std::string socket = socket_in(command_.place);
        // One that was not noticed is, with the next one's event.
        const auto connect_once_more = [&socket] {
            try {
                await_listening(socket, nudge_timeout);
            } catch (const Error&) {} // it ended: its own command says so
        };
        return run_own_command(title, with_environment("HOME", command_.place, std::move(argv)), own_command_timeout,
                               connect_once_more);
    }

    OwnCommand command_;
};

std::unique_ptr<Control> attach(const std::string& control, milliseconds timeout) {
    OwnCommand command = OwnCommand::of(control);
    await_listening(socket_in(command.place), timeout);
    return std::make_unique<KvmtoolControl>(std::move(command));
}

std::vector<std::string_view> kernel_options(const VmPlan& /*vm*/) {
    return {"PCI", "X86_MPPARSE", "SERIAL_8250_CONSOLE"};
}

constexpr std::string_view no_driven_network = "its own network forwards no ports, and microvmc doesn't drive it";

constexpr std::string_view no_interrupts = "its guest isn't interrupted by what is handed over";

} // namespace

const Backend kvmtool{
    .traits =
        {
            .name = "kvmtool",
            .title = title,
            .programs = {{"x86_64", "lkvm"}},
            .capabilities = with_ours(with_kvm_and_taps({
                lacking("interface.macvtap", "it gives an address of its own to a tap that it gets as a descriptor"),
                lacking("memory.hotplug", "it has no memory that comes and goes"),
                lacking("memory.hugepages", "it takes them from a hugetlbfs, which microvmc doesn't mount"),
                lacking("balloon", "it makes a balloon bigger or smaller, but doesn't tell how big it is",
                        "use another hypervisor"),
                lacking("balloon.auto", "its balloon doesn't yield by itself"),
                lacking("balloon.initial", "its balloon is empty at first"),
                lacking("balloon.deflate-on-oom", "its balloon doesn't yield by itself"),
                lacking("balloon.free-page-reporting", "its balloon has none"),
                native("kernel.bzimage"),
                lacking("kernel.elf", "it boots a bzImage only", "name the bzImage (vmlinuz) of that kernel"),
                lacking("firmware", "it has none on x86_64"),
                lacking("root.share", "its 9p can't be read-only beside what it writes itself",
                        "use qemu, or root.dir"),
                lacking("root.store", "its 9p can't be read-only beside what it writes itself", "use qemu"),
                native("volume.raw"),
                lacking("volume.qcow2", "it reads them only", "use format raw"),
                lacking("volume.vhd", "it reads raw images", "use format raw"),
                lacking("volume.vhdx", "it reads raw images", "use format raw"),
                native("volume.write"),
                lacking("volume.serial", "its disks tell serial numbers of its own"),
                native("volume.read-only"),
                native("volume.direct"),
                lacking("volume.cache", "it has one mode, and `direct`"),
                lacking("volume.discard", "its disks take no discard"),
                lacking("volume.backing", "it opens no image with another behind it"),
                lacking("volume.grow", "it has no command for that", "restart the machine"),
                native("share.9p"),
                lacking("share.virtiofs", "it has 9p", "use proto 9p"),
                lacking("share.image", "it shares directories", "use proto 9p"),
                bridged("share.read-only", "the directory is mounted read-only for it alone"),
                lacking("share.cache", "its 9p has no cache of its own"),
                lacking("share.posix-acl", "its 9p has no extended attributes"),
                lacking("share.xattr", "its 9p has no extended attributes"),
                lacking("share.dax", "it maps no files into the guest"),
                lacking("share.security-model", "its files belong to who made them, or to its own user"),
                lacking("share.id-map", "its 9p maps no ids"),
                lacking("share.on-death", "it serves its shares itself"),
                lacking("share.socket", "it serves its shares itself"),
                lacking("share.extra-args", "it serves its shares itself"),
                lacking("interface.user", no_driven_network, "use type tap, or qemu"),
                bridged("interface.mtu", "the guest's own init sets it"),
                lacking("forward.ipv6", no_driven_network),
                lacking("device.pci", no_interrupts, "use qemu or cloud-hypervisor"),
                lacking("device.usb", "it has no USB", "use qemu"),
                lacking("interface.vhost", "its guest isn't told of its MAC address then"),
                native("vsock"),
                native("console.serial"),
                lacking("console.virtio", "its serial ports are deaf then, and the agent has one of them"),
                lacking("console.off", "it always has one"),
                lacking("graphics", "microvmc doesn't drive its VNC server", "use qemu"),
                bridged("shutdown", "the guest's own init is asked, by its agent"),
                native("pause"),
                lacking("snapshot", "it saves no machines", "use qemu"),
                lacking("snapshot.elsewhere", "it saves no machines", "use qemu"),
            })),
            .accels = {"kvm"},
            .max_vcpu = 255, // x86/mptable.c, MPTABLE_MAX_CPUS
            .user_network = {},
            .choose_machine = choose_machine,
        },
    .lower = lower,
    .attach = attach,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
};

} // namespace microvmc
