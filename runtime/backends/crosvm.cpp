// crosvm, on x86_64.
//
// What is odd about it, and where that is written (crosvm: its sources of 2026-08, f1e797a; linux: those of 6.1):
//
// - An option's value may be in double quotes, where a quote and a backslash are written after a backslash
//   (serde_keyvalue/src/key_values.rs). Of the kernel's command line it takes printable ASCII only
//   (kernel_cmdline/src/kernel_cmdline.rs).
// - The first serial port is its standard input and output unless it is told otherwise (arch/src/serial.rs). A virtio
//   console has one port, which is the guest's /dev/hvc0 whatever name it is given, and is a client of the socket that
//   it is given, when it starts (devices/src/sys/linux/serial_device.rs).
// - It takes an image for what its first bytes say (disk/src/disk.rs), and can't be told another format: with a raw one
//   that begins as a qcow2 image or a composite disk, which its guest may have written, it isn't started.
// - Its own 9p and virtiofs (--shared-dir) have no way to be read-only, so that the directory is made so for it; the
//   option's parts are split at colons, which nothing can escape (src/crosvm/sys/linux/config.rs). As root they need a
//   map of ids, or the guest has only root's files.
// - A vhost-user file system tells its own tag, which its server must be told: `--tag` of Rust's virtiofsd. QEMU's has
//   no such option; then, and where there is none, its own virtiofs is taken.
// - It is asked by its own command, over a socket of packets which a killed one leaves behind. It doesn't tell whether
//   it stands still, so that this is noted beside the socket.
// - Its balloon always yields before the guest kills processes (devices/src/virtio/balloon.rs).
// - Each device is a process in a sandbox of its own (minijail), for which it needs a directory to be its root; as an
//   ordinary user it takes user namespaces.
// - A guest that reboots and one that powers off end it, both with 0.

#include "runtime/backend.h"
#include "runtime/backends/capability.h"
#include "runtime/backends/guest_memory.h"
#include "runtime/backends/kernel_image.h"
#include "runtime/backends/list.h"
#include "runtime/backends/own_command.h"
#include "runtime/backends/parts.h"
#include "runtime/backends/values.h"
#include "runtime/error.h"
#include "runtime/virtiofs.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <variant>

namespace microvmc {

using std::chrono::milliseconds;

namespace {

constexpr std::string_view title = "crosvm";
constexpr const char* agent_port =
    "/dev/hvc0"; // the device has no more ports, and its only one is a console (linux: virtio_console.c)
constexpr std::string_view running = "running";
constexpr std::string_view standing = "paused";
constexpr const char* saved = "crosvm";                ///< in a snapshot's directory: the directory that it makes
constexpr std::string_view all_ids = "0 0 4294967295"; ///< user_namespaces(7)
constexpr unsigned mib_shift = 20;

std::vector<OptionValue> shared_dir_values(const SharePlan& share) {
    const std::string key = "shares." + share.name;
    return {{key + ".source", share.source}, {key + ".tag", share.tag}};
}

std::vector<Problem> problems(const VmPlan& vm, const HostFacts& facts) {
    std::vector<Problem> found;
    for (const std::string& param : vm.kernel.params) {
        if (std::ranges::all_of(param, [](char c) { return c >= ' ' && c <= '~'; })) { continue; }
        found.push_back(
            {"kernel-params", fmt::format("crosvm takes kernel parameters of printable ASCII only: {}", param)});
    }
    for (const SharePlan& share : vm.shares) {
        if (!is_served_by_vmm(share)) { continue; }
        refuse_values(title, ":", shared_dir_values(share), found);
        if (share.proto == "9p" && (share.posix_acl || share.xattr)) {
            found.push_back({"shares." + share.name, "crosvm's own 9p keeps no extended attributes, nor ACLs",
                             "use proto virtiofs"});
        }
    }
    refuse_read_only_shares(vm, facts, title, found);
    require_vhost_net(vm, facts, found);
    refuse_odd_queues(vm, title, found);
    if (facts.uid != 0 && !facts.namespaces) {
        found.push_back({"", "crosvm's sandbox needs user namespaces, which this host doesn't let you make",
                         "run microvmc as root"});
    }
    if (vm.vsock_cid != 0) { require_vhost_vsock(facts, found); }
    return found;
}

MachineChoice choose_machine(const VmPlan& vm, const HostFacts& facts) {
    MachineChoice choice;
    choice.kernel_params.push_back(console_param(vm));
    choice.kernel_params.insert(choice.kernel_params.end(), init_params.begin(), init_params.end());
    choose_kernel_image(vm, facts, {.title = title, .bzimage = true, .elf = true}, choice);
    std::ranges::move(problems(vm, facts), std::back_inserter(choice.problems));
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
        if (!value.empty() && value.find_first_of("\"'\\,[] \t\n\r") == std::string_view::npos) {
            text_.append(value);
            return *this;
        }
        text_ += '"';
        for (const char c : value) {
            if (c == '"' || c == '\\') { text_ += '\\'; }
            text_ += c;
        }
        text_ += '"';
        return *this;
    }
    Options& add(std::string_view key, const char* value) { return add(key, std::string_view(value)); }
    Options& add(std::string_view key, bool on) { return add(key, std::string_view(on ? "true" : "false")); }

    Options& flag(std::string_view key) {
        text_.append(text_.empty() ? "" : ",").append(key);
        return *this;
    }

    [[nodiscard]] const std::string& text() const { return text_; }

private:
    std::string text_;
};

class CommandLine {
public:
    explicit CommandLine(const std::string& program) : argv_{program, "--no-syslog", "--log-level", "warn", "run"} {}

    void flag(std::string_view name) { argv_.emplace_back(name); }
    void option(std::string_view name, std::string value) {
        argv_.emplace_back(name);
        argv_.push_back(std::move(value));
    }
    void option(std::string_view name, const Options& values) { option(name, values.text()); }
    std::vector<std::string> take() { return std::move(argv_); }

private:
    std::vector<std::string> argv_;
};

void add_channels(CommandLine& line, const VmPlan& vm, const Lowered& lowered) {
    Options console;
    if (vm.console == "off") {
        console.add("type", "sink").add("hardware", "serial").add("num", "1");
    } else {
        console.add("type", "stdout").add("hardware", "serial").add("num", "1").add("console", true).add("stdin", true);
    }
    line.option("--serial", console);
    line.option("--serial", Options()
                                .add("type", "unix-stream")
                                .add("hardware", "virtio-console")
                                .add("num", "2")
                                .add("pci-address", "00:01.0")
                                .add("path", lowered.agent.socket)
                                .add("input-unix-stream", true));
}

void add_disk(CommandLine& line, const VolumePlan& disk) {
    Options options;
    options.add("path", disk.image).add("ro", disk.read_only).add("sparse", disk.discard).add("direct", disk.direct);
    if (!disk.serial.empty()) { options.add("id", disk.serial); }
    line.option("--block", options);
}

/// Its own virtiofs keeps what it knows of a file for as long as virtiofsd does (virtiofsd: src/passthrough/mod.rs).
std::string fs_options(const SharePlan& share) {
    const std::string cache = share.cache.empty() ? "auto" : share.cache;
    const char* const timeout_s = cache == "always" ? "86400" : cache == "never" ? "0" : "1";
    return fmt::format("type=fs:cache={}:timeout={}:posix_acl={}", cache, timeout_s, share.posix_acl);
}

// Served by crosvm itself.
void add_shared_dir(CommandLine& line, const SharePlan& share) {
    require_values(title, ":", shared_dir_values(share));
    std::string text =
        fmt::format("{}:{}:{}", share.source, share.tag, share.proto == "9p" ? "type=p9" : fs_options(share));
    const bool passes_ids_on = share.proto == "9p" ? share.security_model == "passthrough" : share.uid_map.empty();
    if (passes_ids_on) { text += fmt::format(":uidmap={0}:gidmap={0}", all_ids); } // else the guest's root is its user
    line.option("--shared-dir", std::move(text));
}

void add_devices(CommandLine& line, const VmPlan& vm) {
    for (const VolumePlan& disk : disks_of(vm)) { add_disk(line, disk); }
    std::size_t shares = 0;
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [](const VolumePlan&) {}, // a disk like others
                       [&](const SharePlan& share) {
                           const std::size_t number = shares++;
                           if (is_served_by_vmm(share)) { return add_shared_dir(line, share); }
                           line.option("--vhost-user",
                                       Options().add("type", "fs").add("socket", virtiofs_socket(vm, share, number)));
                       },
                       [&](const InterfacePlan& interface) {
                           Options net;
                           if (interface.type == "macvtap") {
                               net.add("tap-fd", std::to_string(macvtap_number(vm, interface)));
                           } else {
                               net.add("tap-name", interface.id);
                           }
                           net.add("mac", interface.mac);
                           if (interface.vhost == "on") { net.flag("vhost-net"); }
                           if (interface.queues > 1) { net.add("vq-pairs", std::to_string(interface.queues)); }
                           line.option("--net", net);
                       },
                       [](const HostDevicePlan&) {}, // its traits have none
                   },
                   device);
    }
    if (!has_balloon(vm)) {
        line.flag("--no-balloon");
        return;
    }
    const bool automatic = vm.balloon.mode == BalloonPlan::Mode::automatic;
    if (vm.balloon.free_page_reporting || automatic) { line.flag("--balloon-page-reporting"); }
    if (vm.balloon.initial_mib != 0 && vm.balloon.initial_mib < vm.mem_mib) {
        line.option("--init-mem", std::to_string(vm.mem_mib - vm.balloon.initial_mib));
    }
}

std::vector<std::string> guest_modules(const VmPlan& vm) {
    std::vector<std::string> modules{"virtio_pci", "virtio_console", "virtio_rng"};
    modules.insert(modules.end(), {"button", "evdev"}); // powerbtn arrives as a key
    add_device_modules(vm, modules);
    if (vm.vsock_cid != 0) { modules.emplace_back("vmw_vsock_virtio_transport"); }
    return modules;
}

/// Its servers tell it the shares' tags.
std::vector<Child> share_servers(const VmPlan& vm) {
    std::vector<Child> servers = virtiofs_servers(vm);
    auto server = servers.begin();
    for (const SharePlan& share : vm.shares) {
        if (has_virtiofs_server(share) && server != servers.end()) { (server++)->argv.push_back("--tag=" + share.tag); }
    }
    return servers;
}

std::string state_file(const std::string& socket) {
    return socket + ".state";
}

Lowered lower(const VmPlan& vm, const std::string& initramfs) {
    const std::string socket = vm.runtime_dir + "/crosvm.sock";
    const std::string root = vm.runtime_dir + "/sandbox";
    Lowered lowered;
    lowered.control = OwnCommand{vm.program, socket}.text();
    lowered.agent = {.kind = AgentChannel::Kind::served, .socket = vm.runtime_dir + "/agent.sock"};
    lowered.agent_device = fmt::format("tty:{}", agent_port);
    lowered.console_device = console_device(vm);
    lowered.console_piece = serial_piece;
    lowered.end = "poweroff";
    lowered.modules = guest_modules(vm);
    lowered.file_systems = root_file_systems(vm);

    CommandLine line(vm.program);
    line.option("-s", socket);
    line.option("--pivot-root", root);
    line.option("--cpus", fmt::format("num-cores={}", vm.vcpu));
    line.option("--mem", fmt::format("size={}", vm.mem_mib));
    line.flag("--no-usb");
    add_channels(line, vm, lowered);
    if (vm.vsock_cid != 0) { line.option("--vsock", fmt::format("cid={}", vm.vsock_cid)); }
    add_devices(line, vm);
    line.option("-p", command_line_of(vm));
    line.option("--initrd", initramfs);
    std::vector<std::string> argv = line.take();
    argv.insert(argv.end(), vm.extra_args.begin(), vm.extra_args.end());
    argv.push_back(kernel_path(vm));
    lowered.children = share_servers(vm);
    lowered.children.push_back(
        {.role = "vmm",
         .argv = std::move(argv),
         .console = vm.console != "off",
         .await_socket = socket,
         .files = {{.path = root + "/", .content = {}}, {.path = state_file(socket), .content = std::string(running)}},
         .read_only = read_only_shares(vm),
         .descriptors = macvtap_descriptors(vm),
         .raw_images = raw_images(vm)});
    return lowered;
}

class CrosvmControl final : public Control {
public:
    explicit CrosvmControl(OwnCommand command) : command_(std::move(command)) {}

    void power_button() override { ask({"powerbtn"}); }
    void quit() override { ask({"stop"}); }

    // Both do nothing to one that is so already.
    void pause() override {
        ask({"suspend"});
        note(standing);
    }
    void resume() override {
        ask({"resume"});
        note(running);
    }
    bool paused() override {
        std::ifstream in(state_file(command_.place));
        return std::string{std::istreambuf_iterator<char>(in), {}} == standing;
    }

    void require_savable(const VmPlan& plan) override {
        require_no_shares(plan, title);
        const auto found = std::ranges::find(plan.interfaces, "on", &InterfacePlan::vhost);
        if (found == plan.interfaces.end()) { return; }
        throw Error(fmt::format("crosvm can't save a machine whose packets the host's kernel handles: {}", found->name),
                    "set the interface's `vhost = \"off\"`");
    }
    void save(const std::string& directory, milliseconds timeout) override {
        ask({"snapshot", "take", directory + '/' + saved}, timeout);
    }
    // It is loaded as it starts, and answers nobody before.
    void load(const std::string& /*directory*/, milliseconds timeout) override {
        ask({"suspend"}, timeout);
        note(standing);
    }

    void grow_volume(const Growth& growth) override {
        ask({"disk", "resize", std::to_string(growth.disk), std::to_string(growth.bytes)});
    }

    void set_balloon(std::uint64_t mib) override { ask({"balloon", std::to_string(mib << mib_shift)}); }
    std::uint64_t balloon_mib() override {
        return balloon_stats().value("balloon_actual", std::uint64_t{0}) >> mib_shift;
    }

    ControlStats stats() override {
        ControlStats stats;
        nlohmann::json said;
        try {
            said = balloon_stats();
        } catch (const TimeoutError&) { throw; } catch (const Error&) {
            return stats;
        } // it has no balloon
        stats.balloon_mib = said.value("balloon_actual", std::uint64_t{0}) >> mib_shift;
        add_guest_memory(said.value("stats", nlohmann::json::object()), stats.guest);
        return stats;
    }

private:
    std::string ask(const std::vector<std::string>& words, milliseconds timeout = own_command_timeout) {
        std::vector<std::string> argv{command_.program, "--no-syslog", "--log-level", "error"};
        argv.insert(argv.end(), words.begin(), words.end());
        argv.push_back(command_.place);
        return run_own_command(title, argv, timeout);
    }

    nlohmann::json balloon_stats() {
        const std::string text = ask({"balloon_stats"});
        const nlohmann::json said = nlohmann::json::parse(text, nullptr, false);
        const auto stats = said.is_object() ? said.find("BalloonStats") : said.end();
        if (!said.is_object() || stats == said.end() || !stats->is_object()) {
            throw Error(fmt::format("crosvm said this of its balloon: {:.200}", text));
        }
        return *stats;
    }

    void note(std::string_view state) { write_private_file(state_file(command_.place), state, false); }

    OwnCommand command_;
};

std::vector<std::string> load_argv(std::vector<std::string> argv, const std::string& directory) {
    argv.insert(argv.end() - 1, {"--suspended-vcpus", "--restore", directory + '/' + saved}); // the kernel comes last
    return argv;
}

/// A qcow2 image can't, and one without discard would have all of its blocks allocated (devices/src/virtio/block/
/// asynchronous.rs, resize), which may fill the host's disk.
bool grows(const VolumePlan& volume) {
    return volume.format == "raw" && volume.discard;
}

std::unique_ptr<Control> attach(const std::string& control, milliseconds /*timeout*/) {
    return std::make_unique<CrosvmControl>(OwnCommand::of(control)); // the supervisor has seen that it listens
}

std::vector<std::string_view> kernel_options(const VmPlan& vm) {
    std::vector<std::string_view> options{"ACPI", "PCI"};
    if (vm.console != "off") { options.emplace_back("SERIAL_8250_CONSOLE"); }
    return options;
}

const std::vector<Capability> its{
    lacking("memory.hotplug", "it has no memory that comes and goes"),
    lacking("memory.hugepages", "it only advises the host to use them"),
    native("interface.macvtap"),
    native("balloon"),
    native("balloon.auto", "the guest returns by itself what it frees, and takes it back as it needs it"),
    native("balloon.initial"),
    native("balloon.deflate-on-oom", "always"),
    native("balloon.free-page-reporting"),
    native("kernel.bzimage"),
    native("kernel.elf"),
    lacking("firmware", "microvmc doesn't look for what it boots"),
    lacking("root.share", "a root over virtiofs is still to come", "use root.dir"),
    lacking("root.store", "a root over virtiofs is still to come", "use qemu"),
    native("volume.raw"),
    native("volume.qcow2"),
    lacking("volume.vhd", "it reads raw and qcow2 images", "use format raw"),
    lacking("volume.vhdx", "it reads raw and qcow2 images", "use format raw"),
    native("volume.write"),
    native("volume.serial"),
    native("volume.read-only"),
    native("volume.direct"),
    lacking("volume.cache", "it has one mode, and `direct`"),
    native("volume.discard"),
    lacking("volume.backing", "it goes by what the image says is behind it, not by the plan"),
    native("volume.grow", "grown while it runs: raw images with `discard`"),
    native("share.9p", "of its own"),
    lacking("share.image", "it shares directories", "use proto virtiofs"),
    native("share.read-only", "over 9p the directory is mounted read-only for it alone"),
    lacking("share.dax", "it maps no files into the guest"),
    lacking("share.security-model", "its 9p passes owners and modes on"),
    native("interface.mtu", "the tap's"),
    lacking("device.pci", "its guest isn't interrupted by what is handed over", "use qemu or cloud-hypervisor"),
    lacking("device.usb", "microvmc doesn't drive its USB yet", "use qemu"),
    native("interface.queues", "of taps"),
    native("interface.vhost", "when it is asked for: the machine can't be saved then"),
    native("vsock"),
    native("console.serial"),
    lacking("console.virtio", "it doesn't tell its guest that a virtio port is a console"),
    native("console.off"),
    lacking("graphics", "microvmc doesn't drive its displays", "use qemu"),
    native("shutdown"),
    native("pause"),
    native("snapshot"),
    native("snapshot.elsewhere"),
};

} // namespace

const Backend crosvm{
    .traits =
        {
            .name = "crosvm",
            .title = title,
            .programs = {{"x86_64", "crosvm"}},
            .capabilities = with_ours(with_virtiofsd(with_kvm_and_taps(its))),
            .accels = {"kvm"},
            .max_vcpu = 254,
            .user_network = {},
            .choose_machine = choose_machine,
            .discard_formats = {"raw", "qcow2"},
            .grows = grows,
            .own_virtiofs = true,
            .vhost_costs = true,
        },
    .lower = lower,
    .attach = attach,
    .kernel_options = kernel_options,
    .drivers = guest_modules,
    .load_argv = load_argv,
};

} // namespace microvmc
