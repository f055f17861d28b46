// cloud-hypervisor, on x86_64.
//
// What is odd about it, and where that is written (cloud-hypervisor: its sources of v53; linux: those of 6.1):
//
// - In an option a comma ends a value and brackets make a list; a value in double quotes may have both, and a double
//   quote written twice (option_parser/src/lib.rs). White space around a value is cut off, unless it is quoted. What
//   may be there several times is one option with several arguments.
// - A guest that reboots is booted again in the same process, which ends when its guest powers off. So our guest always
//   powers off, having said which of the two it meant; one with an init of its own may reboot in place, which its agent
//   tells by another boot id. A panic must not look like that: the kernel stands still (panic=0) where a console shows
//   it.
// - `--serial tty` is its standard input and output, which need not be a terminal.
//   What is typed there ahead of the guest it keeps, but dies of more than 128 KiB: its filter has no mremap for that
//   thread (vmm/src/seccomp_filters.rs, serial_manager_thread_rules).
// - Its vsock is a Unix socket on the host, asked for a port in words (docs/vsock.md), whatever the host's kernel has;
//   the agent uses it, so that each machine has one.
// - Disks are told by the serial numbers that they are given. It locks the bytes of an image (block/src/io/fcntl.rs)
// and
//   wants to know its format, or it keeps the guest from writing the first sector (vmm/src/device_manager.rs).
// - Of VHD images it has the fixed ones.
// - Memory that comes and goes is virtio-mem's, in blocks of 128 MiB (virtio-devices/src/mem.rs).
// - It boots a bzImage or an ELF with a PVH note.
// - Beside its API's socket it leaves a file, which it locks (vmm/src/api/http/mod.rs).
// - A snapshot is a directory of files, which it takes only of processors that tell their nested state
//   (KVM_GET_NESTED_STATE), so that KVM must let guests have guests (hypervisor/src/kvm/mod.rs).
// - Seccomp is on by itself, a filter for each of its threads (vmm/src/seccomp_filters.rs).

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/cloud_hypervisor_control.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/list.h"
#include "runtime/backends/parts.h"
#include "runtime/error.h"
#include "runtime/virtiofs.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace microvmc {

namespace {

constexpr std::string_view machine_option = "--kernel";  // the first that says what the machine is
constexpr std::string_view seccomp_option = "--seccomp"; // the first after that
constexpr std::string_view first_driven = "51.0";        // `sparse`, `backing_files`, locks of an image's own bytes
constexpr std::string_view first_with_image_type = "52.0";
constexpr std::uint32_t cid_of_all = 3; // the first that a guest may have; each machine's vsock is its own
constexpr std::uint64_t plugged_block_mib = 128;
constexpr std::size_t pci_slots = 31; // of its one segment, less the host bridge

std::size_t pci_devices(const VmPlan& vm) {
    return 2 + (vm.console == "virtio" ? 1 : 0) + (has_balloon(vm) ? 1 : 0) + (vm.mem_max_mib != 0 ? 1 : 0) +
           disks_of(vm).size() + vm.shares.size() + vm.interfaces.size() + vm.host_devices.size();
}

std::vector<Problem> problems(const VmPlan& vm) {
    std::vector<Problem> found;
    if (is_older(vm.program_version, first_driven)) {
        found.push_back({"", fmt::format("cloud-hypervisor {} is older than {}, the first that microvmc drives",
                                         vm.program_version, first_driven)});
    }
    if (pci_devices(vm) > pci_slots) {
        found.push_back({"", fmt::format("`{}` has {} PCI devices, and cloud-hypervisor has {} slots", vm.name,
                                         pci_devices(vm), pci_slots)});
    }
    refuse_odd_queues(vm, "cloud-hypervisor", found);
    const bool is_whole = (vm.mem_max_mib - vm.mem_boot_mib) % plugged_block_mib == 0 &&
                          (vm.mem_mib - vm.mem_boot_mib) % plugged_block_mib == 0;
    if (vm.mem_max_mib != 0 && !is_whole) {
        found.push_back(
            {"mem-max",
             fmt::format("memory is plugged in by {} MiB, which don't divide what is between", plugged_block_mib),
             fmt::format("have `mem-max` be a multiple of {} MiB more than `mem`", plugged_block_mib)});
    }
    return found;
}

std::vector<std::string> kernel_params(const VmPlan& vm) {
    std::vector<std::string> params{console_param(vm)};
    for (const char* param : {"quiet", "rdinit=/microvmc/init", "reboot=t"}) { params.emplace_back(param); }
    params.emplace_back(vm.console == "off" ? "panic=-1" : "panic=0");
    add_hotplug_params(vm, params);
    return params;
}

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    choice.kernel_params = kernel_params(vm);
    choose_kernel_image(vm, facts, {.title = "cloud-hypervisor", .bzimage = true, .elf = true}, choice);
    std::ranges::move(problems(vm), std::back_inserter(choice.problems));
    return choice;
}

/// One argument, "key=value,...".
class Options {
public:
    Options& add(std::string_view key, std::string_view value) {
        if (value.find('\0') != std::string_view::npos) {
            throw Error(fmt::format("{} has a NUL in it, which no program can be given", key));
        }
        if (!text_.empty()) { text_ += ','; }
        text_.append(key).push_back('=');
        if (value.find_first_of(special) == std::string_view::npos) {
            text_.append(value);
            return *this;
        }
        text_ += '"';
        for (const char c : value) {
            text_ += c;
            if (c == '"') { text_ += c; }
        }
        text_ += '"';
        return *this;
    }
    Options& add(std::string_view key, bool on) { return add(key, std::string_view(on ? "on" : "off")); }
    Options& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }

    [[nodiscard]] const std::string& text() const { return text_; }

private:
    // All that it, or Unicode, may take for white space or a part of its syntax: no ASCII letter, digit or mark of
    // paths.
    static constexpr std::string_view special = "\",[] \t\n\v\f\r";

    std::string text_;
};

std::string mebibytes(std::uint64_t mib) {
    return fmt::format("{}M", mib);
}

std::string memory(const VmPlan& vm) {
    const std::uint64_t boot = vm.mem_max_mib == 0 ? vm.mem_mib : vm.mem_boot_mib;
    Options options;
    options.add("size", mebibytes(boot));
    // A vhost-user server works in the guest's memory.
    const auto is_virtiofs = [](const SharePlan& share) { return share.proto == "virtiofs"; };
    if (std::ranges::any_of(vm.shares, is_virtiofs)) { options.add("shared", true); }
    if (!vm.hugepages.empty()) {
        options.add("hugepages", true);
        if (vm.hugepages != "true") { options.add("hugepage_size", vm.hugepages == "1GiB" ? "1G" : "2M"); }
    }
    if (vm.mem_max_mib != 0) {
        options.add("hotplug_method", "virtio-mem").add("hotplug_size", mebibytes(vm.mem_max_mib - boot));
        if (vm.mem_mib > boot) { options.add("hotplugged_size", mebibytes(vm.mem_mib - boot)); }
    }
    return options.text();
}

std::string disk(const VmPlan& vm, const VolumePlan& volume, const std::string& id) {
    Options options;
    options.add("path", volume.image).add("readonly", volume.read_only).add("id", id);
    if (!volume.serial.empty()) { options.add("serial", volume.serial); }
    if (volume.direct) { options.add("direct", true); }
    if (!volume.discard) { options.add("sparse", false); }
    if (!is_older(vm.program_version, first_with_image_type)) { options.add("image_type", volume.format); }
    if (!volume.backing.empty() && volume.format == "qcow2") { options.add("backing_files", true); }
    return options.text();
}

/// The volumes' ids are their numbers in the plan; the other disks' are their serials.
std::vector<std::string> disks(const VmPlan& vm) {
    std::vector<std::string> made;
    std::size_t volumes = 0;
    for (const VolumePlan& each : disks_of(vm)) {
        const std::string id =
            each.name.empty() ? each.serial : fmt::format("{}{}", cloud_hypervisor_ids::volume, volumes++);
        made.push_back(disk(vm, each, id));
    }
    return made;
}

std::string share(const VmPlan& vm, const SharePlan& share, std::size_t number) {
    return Options().add("tag", share.tag).add("socket", virtiofs_socket(vm, share, number)).text();
}

std::string interface(const VmPlan& vm, const InterfacePlan& interface) {
    Options options;
    if (interface.type == "macvtap") {
        options.add("fd", std::to_string(macvtap_number(vm, interface)));
    } else {
        options.add("tap", interface.id);
    }
    options.add("mac", interface.mac);
    if (interface.mtu != 0) { options.add("mtu", std::to_string(interface.mtu)); }
    if (interface.queues > 1) { options.add("num_queues", std::to_string(2 * interface.queues)); } // to it and from it
    return options.text();
}

std::string balloon(const BalloonPlan& balloon) {
    const bool automatic = balloon.mode == BalloonPlan::Mode::automatic;
    return Options()
        .add("size", mebibytes(balloon.initial_mib))
        .add("deflate_on_oom", balloon.deflate_on_oom || automatic)
        .add("free_page_reporting", balloon.free_page_reporting || automatic)
        .text();
}

std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{"virtio_pci", "virtio_rng", "vmw_vsock_virtio_transport"};
    if (vm.console == "virtio") { modules.emplace_back("virtio_console"); }
    modules.insert(modules.end(), {"button", "evdev"}); // vm.power-button arrives as a key
    add_device_modules(vm, modules);
    return modules;
}

class CommandLine {
public:
    explicit CommandLine(const std::string& program) : argv_{program} {}

    void option(std::string_view name, std::string value) { options(name, {std::move(value)}); }
    /// Nothing when there are no values.
    void options(std::string_view name, const std::vector<std::string>& values) {
        if (values.empty()) { return; }
        argv_.emplace_back(name);
        argv_.insert(argv_.end(), values.begin(), values.end());
    }
    std::vector<std::string> take() { return std::move(argv_); }

private:
    std::vector<std::string> argv_;
};

void add_devices(CommandLine& line, const VmPlan& vm) {
    std::vector<std::string> shares;
    std::vector<std::string> interfaces;
    std::vector<std::string> host_devices;
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [](const VolumePlan&) {}, // a disk like others
                       [&](const SharePlan& each) { shares.push_back(share(vm, each, shares.size())); },
                       [&](const InterfacePlan& each) { interfaces.push_back(interface(vm, each)); },
                       [&](const HostDevicePlan& each) {
                           host_devices.push_back(Options().add("path", "/sys/bus/pci/devices/" + each.path).text());
                       },
                   },
                   device);
    }
    line.options("--disk", disks(vm));
    line.options("--fs", shares);
    line.options("--net", interfaces);
    line.options("--device", host_devices);
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    Lowered lowered;
    lowered.control = vm.runtime_dir + "/api.sock";
    lowered.agent = {
        .kind = AgentChannel::Kind::hybrid_vsock, .socket = vm.runtime_dir + "/vsock.sock", .port = agent_vsock_port};
    lowered.agent_device = fmt::format("vsock:{}", agent_vsock_port);
    lowered.console_device = console_device(vm);
    if (vm.console != "virtio") { lowered.console_piece = serial_piece; }
    lowered.end = "poweroff";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    CommandLine line(vm.program);
    line.option("--api-socket", Options().add("path", lowered.control).text());
    line.option(machine_option, kernel_path(vm));
    line.option("--initramfs", initramfs);
    line.option("--cmdline", command_line_of(vm));
    line.option("--cpus", fmt::format("boot={}", vm.vcpu));
    line.option("--memory", memory(vm));
    line.option("--serial", vm.console == "off" || vm.console == "virtio" ? "off" : "tty");
    line.option("--console", vm.console == "virtio" ? "tty" : "off");
    const std::uint32_t cid = vm.vsock_cid == 0 ? cid_of_all : vm.vsock_cid;
    line.option("--vsock", Options().add("cid", std::to_string(cid)).add("socket", lowered.agent.socket).text());
    if (has_balloon(vm)) { line.option("--balloon", balloon(vm.balloon)); }
    add_devices(line, vm);
    line.option(seccomp_option, "true"); // nor may what the user adds be taken for a device's
    std::vector<std::string> argv = line.take();
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    lowered.children = virtiofs_servers(vm);
    lowered.children.push_back({.role = "vmm",
                                .argv = std::move(argv),
                                .console = true,
                                .await_socket = lowered.control,
                                .files = {{.path = lowered.control + ".lock", .content = {}}},
                                .descriptors = macvtap_descriptors(vm)});
    return lowered;
}

std::string host_lacks(std::string_view capability, const HostFacts& facts) {
    return capability != "snapshot" || facts.kvm.nested_state
               ? std::string()
               : "cloud-hypervisor saves machines only where guests may have guests of their own (KVM's nested state), "
                 "not here";
}

/// Without a machine: that comes from what is loaded.
std::vector<std::string> load_argv(std::vector<std::string> argv, const std::string& /*directory*/) {
    const auto machine = std::ranges::find(argv, machine_option);
    argv.erase(machine, std::ranges::find(argv, seccomp_option));
    return argv;
}

std::vector<std::string_view> kernel_options(const VmPlan& vm) {
    std::vector<std::string_view> options{"ACPI", "PCI", "VIRTIO_PCI", "VIRTIO_VSOCKETS"};
    if (vm.console != "virtio") { options.emplace_back("SERIAL_8250_CONSOLE"); }
    if (vm.kernel.image == KernelImage::elf) { options.emplace_back("PVH"); }
    return options;
}

} // namespace

const Backend cloud_hypervisor{
    .traits =
        {
            .name = "cloud-hypervisor",
            .title = "cloud-hypervisor",
            .programs = {{"x86_64", "cloud-hypervisor"}},
            .capabilities = with_ours(with_virtiofsd(with_kvm_and_taps({
                native("interface.macvtap"),
                native("memory.hotplug", "virtio-mem"),
                native("memory.hugepages"),
                native("balloon"),
                native("balloon.auto", "the guest returns by itself what it frees, and takes it back as it needs it"),
                native("balloon.initial"),
                native("balloon.deflate-on-oom"),
                native("balloon.free-page-reporting"),
                native("kernel.bzimage"),
                native("kernel.elf"),
                lacking("firmware", "microvmc doesn't look for what it boots"),
                lacking("root.share", "it has no 9p, and a root over virtiofs is still to come"),
                lacking("root.store", "it has no 9p, and a root over virtiofs is still to come"),
                native("volume.raw"),
                native("volume.qcow2"),
                native("volume.vhd", "fixed ones"),
                native("volume.vhdx"),
                native("volume.write"),
                native("volume.serial"),
                native("volume.read-only"),
                native("volume.direct"),
                lacking("volume.cache", "it has one mode, and `direct`"),
                native("volume.discard"),
                native("volume.backing"),
                native("volume.grow", "grown while it runs"),
                lacking("share.9p", "it has virtiofs", "use proto virtiofs"),
                lacking("share.image", "it has shares"),
                native("share.read-only"),
                lacking("share.dax", "it maps no files into the guest"),
                lacking("share.security-model", "it has no 9p"),
                native("interface.queues", "of taps"),
                native("interface.mtu"),
                native("device.pci"),
                lacking("device.usb", "it has no USB"),
                native("vsock", "on the host it is the Unix socket vsock.sock in the machine's runtime directory"),
                native("console.serial"),
                native("console.virtio"),
                native("console.off"),
                lacking("graphics", "it has no display"),
                native("shutdown"),
                native("pause"),
                native("snapshot", "where guests may have guests of their own"),
                lacking("snapshot.elsewhere", "the paths of its files are in what it saves"),
            }))),
            .accels = {"kvm"},
            .max_vcpu = 254, // docs/cpu.md
            .user_network = {},
            .choose_machine = choose_machine,
            .host_lacks = host_lacks,
            .discard_formats = {"raw", "qcow2"},
        },
    .lower = lower,
    .attach = attach_cloud_hypervisor,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
    .load_argv = load_argv,
};

} // namespace microvmc
