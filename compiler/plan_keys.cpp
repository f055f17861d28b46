#include "compiler/plan_keys.h"

#include "compiler/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc {

namespace {

class Keys {
public:
    void add(std::string key, std::string text, bool fixed_at_start = true) {
        if (!text.empty()) { keys_.push_back({std::move(key), std::move(text), fixed_at_start, element}); }
    }
    void add_if(bool value, std::string key) {
        if (value) { add(std::move(key), "true"); }
    }
    std::vector<PlanKey> take() { return std::move(keys_); }

    std::string element; ///< of the keys that are added next

private:
    std::vector<PlanKey> keys_;
};

std::string overlay_text(const RootPlan& root) {
    if (root.overlay == "none") { return root.read_only ? "read-only" : "written by the guest"; }
    if (root.overlay == "tmpfs") { return "read-only, changes kept in memory"; }
    return fmt::format("read-only, changes kept in volumes.{}", printable(root.overlay));
}

/// The beginning of what the image is named by.
std::string content_text(const RootPlan& root) {
    constexpr std::size_t digits = 12;
    return root.image.substr(root.image.rfind('/') + 1, root.image.empty() ? 0 : digits);
}

std::string joined(const std::vector<std::string>& words) {
    return fmt::format("{}", fmt::join(words, ", "));
}

std::string balloon_text(const BalloonPlan& balloon) {
    std::vector<std::string> parts;
    switch (balloon.mode) {
    case BalloonPlan::Mode::off: return {};
    case BalloonPlan::Mode::on: parts.emplace_back("on"); break;
    case BalloonPlan::Mode::automatic: parts.emplace_back("automatic"); break;
    }
    if (balloon.floor_mib != 0) { parts.push_back(fmt::format("leaves {}", format_size(balloon.floor_mib))); }
    if (balloon.initial_mib != 0) { parts.push_back(fmt::format("{} at start", format_size(balloon.initial_mib))); }
    if (balloon.deflate_on_oom) { parts.emplace_back("deflates on OOM"); }
    if (balloon.free_page_reporting) { parts.emplace_back("free pages reported"); }
    return joined(parts);
}

std::string graphics_text(const GraphicsPlan& graphics) {
    std::string text = printable(graphics.backend);
    if (!graphics.address.empty()) { text += " on " + graphics.address; }
    if (graphics.port != 0) { text += fmt::format(" port {}", graphics.port); }
    if (!graphics.socket.empty()) { text += " at " + printable(graphics.socket); }
    return text;
}

std::string credential_text(const CredentialPlan& credential) {
    if (!credential.file.empty()) { return "from the file " + printable(credential.file); }
    if (!credential.env.empty()) { return "from the environment's " + printable(credential.env); }
    return "from the output of " + shell_quoted(credential.command);
}

std::string restart_text(const RestartPlan& restart) {
    if (restart.policy == "no") { return {}; }
    return fmt::format("{}, after {}, {} times at most", restart.policy, format_duration(restart.delay_ms),
                       restart.limit);
}

std::string commands_text(const std::vector<std::vector<std::string>>& commands) {
    std::vector<std::string> texts;
    for (const auto& argv : commands) { texts.push_back(shell_quoted(argv)); }
    return fmt::format("{}", fmt::join(texts, "; "));
}

std::string size_or_none(std::uint64_t mib) {
    return mib == 0 ? "" : format_size(mib);
}

void add_volume(Keys& keys, const VolumePlan& volume) {
    const std::string at = "volumes." + volume.name;
    keys.element = at;
    keys.add(at + ".size", volume.size_mib == 0 ? "" : format_size(volume.size_mib));
    keys.add(at + ".fs-type", volume.fs_type);
    keys.add(at + ".format", volume.format == "raw" ? "" : volume.format);
    keys.add(at + ".image", printable(volume.image));
    keys.add(at + ".mount-point", printable(volume.mount_point));
    keys.add(at + ".mount-options", printable(fmt::format("{}", fmt::join(volume.mount_options, ","))));
    keys.add(at + ".label", printable(volume.label));
    keys.add(at + ".serial", printable(volume.serial));
    keys.add(at + ".uuid", volume.uuid);
    keys.add_if(volume.read_only, at + ".read-only");
    keys.add_if(volume.direct, at + ".direct");
    keys.add(at + ".cache", printable(volume.cache));
    keys.add_if(volume.discard, at + ".discard");
    keys.add(at + ".mkfs-args", shell_quoted(volume.mkfs_args), false); // of a volume that is made
    // What a copy was made of doesn't matter any more.
    const bool lies_over = volume.format == "qcow2";
    keys.add(at + ".backing", printable(volume.backing), lies_over);
    keys.add(at + ".backing-format", volume.backing_format, lies_over);
    keys.add(at + ".auto-create", volume.auto_create ? "" : "false");
    keys.add(at + ".protect", volume.protect ? "true" : "", false);
}

void add_share(Keys& keys, const SharePlan& share) {
    const std::string at = "shares." + share.name;
    keys.element = at;
    keys.add(at + ".source", printable(share.source));
    keys.add(at + ".mount-point", printable(share.mount_point));
    keys.add(at + ".proto", share.proto);
    keys.add(at + ".tag", printable(share.tag));
    keys.add(at + ".security-model", share.security_model);
    keys.add(at + ".server", printable(share.server));
    keys.add(at + ".sandbox", share.sandbox);
    keys.add_if(share.read_only, at + ".read-only");
    keys.add(at + ".cache", printable(share.cache));
    keys.add_if(share.posix_acl, at + ".posix-acl");
    keys.add_if(share.xattr, at + ".xattr");
    keys.add_if(share.dax, at + ".dax");
    keys.add(at + ".uid-map", printable(share.uid_map));
    keys.add(at + ".gid-map", printable(share.gid_map));
    keys.add(at + ".on-death", share.on_death == "restart" ? "" : share.on_death);
    keys.add(at + ".socket", printable(share.socket));
    keys.add(at + ".extra-args", shell_quoted(share.extra_args));
}

void add_interface(Keys& keys, const InterfacePlan& interface) {
    const std::string at = "interfaces." + interface.name;
    keys.element = at;
    keys.add(at + ".type", interface.type);
    keys.add(at + ".network", interface.network);
    keys.add(at + ".bridge", printable(interface.bridge));
    keys.add(at + ".link", printable(interface.link));
    keys.add(at + ".id", printable(interface.id));
    keys.add(at + ".mac", interface.mac);
    keys.add(at + ".address", fmt::format("{}", fmt::join(interface.addresses, ", ")));
    keys.add(at + ".gateway", interface.gateway);
    keys.add(at + ".dns", fmt::format("{}", fmt::join(interface.dns, ", ")));
    keys.add(at + ".mode", interface.mode);
    keys.add(at + ".vhost", interface.vhost == "off" ? "" : interface.vhost);
    keys.add(at + ".queues", interface.queues == 1 ? "" : std::to_string(interface.queues));
    keys.add(at + ".mtu", interface.mtu == 0 ? "" : std::to_string(interface.mtu));
    keys.add(at + ".rate", interface.rate_mib == 0 ? "" : format_size(interface.rate_mib) + "/s");
    keys.add(at + ".managed", interface.managed ? "" : "false");
    keys.add_if(interface.allow_spoofing, at + ".allow-spoofing");
    keys.element.clear();
    for (const ForwardPlan& forward : interface.forwards) {
        keys.add("forward-ports." + forward.name, forward_text(forward));
    }
}

void add_limits(Keys& keys, const LimitsPlan& limits) {
    keys.add("limits.cpu", limits.cpu == 0 ? "" : fmt::format("{}", limits.cpu));
    keys.add("limits.mem", size_or_none(limits.mem_mib));
    keys.add("limits.pids", limits.pids == 0 ? "" : std::to_string(limits.pids));
    keys.add("limits.io-read", limits.io_read_mib == 0 ? "" : format_size(limits.io_read_mib) + "/s");
    keys.add("limits.io-write", limits.io_write_mib == 0 ? "" : format_size(limits.io_write_mib) + "/s");
}

/// How it gets to the guest, and why so.
std::string share_text(const SharePlan& share) {
    std::string text = share.proto;
    if (!share.proto_reason.empty()) { text += ", " + printable(share.proto_reason); }
    return text;
}

std::string volume_text(const VolumePlan& volume) {
    std::string text =
        volume.size_mib == 0 ? volume.fs_type : fmt::format("{} {}", format_size(volume.size_mib), volume.fs_type);
    if (volume.format != "raw") { text += " in " + volume.format; }
    if (!volume.mount_point.empty()) { text += " on " + printable(volume.mount_point); }
    if (volume.read_only) { text += ", read-only"; }
    if (volume.direct) { text += ", direct"; }
    if (volume.discard) { text += ", discard"; }
    if (!volume.backing.empty()) { text += ", from " + printable(volume.backing); }
    if (volume.protect) { text += ", protected"; }
    return text;
}

/// "tap mv0259e1... on lan", "macvtap on eth0".
std::string joins_text(const InterfacePlan& interface) {
    std::string text = interface.type;
    if (!interface.id.empty()) { text += " " + printable(interface.id); }
    const std::string& to = !interface.network.empty()  ? interface.network
                            : !interface.bridge.empty() ? interface.bridge
                                                        : interface.link;
    return to.empty() ? text : fmt::format("{} on {}", text, printable(to));
}

} // namespace

std::string root_text(const RootPlan& root) {
    const std::string source = printable(root.source);
    switch (root.kind) {
    case RootPlan::Kind::initramfs: return "busybox, in memory";
    case RootPlan::Kind::share: return fmt::format("{}, {}", source, overlay_text(root));
    case RootPlan::Kind::store: return fmt::format("{}, a Nix store, {}", source, overlay_text(root));
    case RootPlan::Kind::image:
        return fmt::format("{}{}, {}, {}", source,
                           root.partition == 0 ? "" : fmt::format(" partition {}", root.partition), root.format,
                           overlay_text(root));
    case RootPlan::Kind::dir:
    case RootPlan::Kind::tar:
    case RootPlan::Kind::oci: return fmt::format("{} as {}, {}", source, root.fs_type, overlay_text(root));
    }
    return {};
}

std::string network_text(const NetworkPlan& network) {
    std::string text =
        fmt::format("{}  {}  bridge {}", network.mode, fmt::join(network.subnets, " "), printable(network.bridge));
    if (!network.managed) { text += ", made by others"; }
    if (!network.uplink.empty()) { text += ", by " + printable(network.uplink); }
    if (!network.dhcp) { text += ", no DHCP"; }
    if (!network.dns) { text += ", no DNS"; }
    return text;
}

std::string ready_text(const ReadyPlan& ready) {
    switch (ready.kind) {
    case ReadyPlan::Kind::init: return "init";
    case ReadyPlan::Kind::tcp: return fmt::format("tcp {}", ready.port);
    case ReadyPlan::Kind::http: return fmt::format("http :{}{}", ready.port, ready.path);
    case ReadyPlan::Kind::console: return fmt::format("console \"{}\"", printable(ready.text));
    case ReadyPlan::Kind::command: return "command " + shell_quoted(ready.command);
    case ReadyPlan::Kind::notify: return "notify";
    case ReadyPlan::Kind::exit: return fmt::format("exit {}", ready.status);
    }
    return {};
}

std::string forward_text(const ForwardPlan& forward) {
    const bool v6 = forward.host_address.find(':') != std::string::npos;
    if (forward.from == "guest") {
        return fmt::format("guest's {}:{} -> {}{}{}:{}/{}", forward.guest_address, forward.guest_port, v6 ? "[" : "",
                           forward.host_address, v6 ? "]" : "", forward.host_port, forward.proto);
    }
    return fmt::format("{}{}{}:{} -> {}{}{}/{}", v6 ? "[" : "", forward.host_address, v6 ? "]" : "", forward.host_port,
                       forward.guest_address, forward.guest_address.empty() ? "" : ":", forward.guest_port,
                       forward.proto);
}

std::vector<PlanElement> plan_elements(const VmPlan& vm) {
    std::vector<PlanElement> elements;
    for (const VolumePlan& volume : vm.volumes) {
        elements.push_back({"volumes." + volume.name, volume_text(volume), printable(volume.image)});
    }
    for (const SharePlan& share : vm.shares) {
        elements.push_back({"shares." + share.name,
                            fmt::format("{} on {}{}", printable(share.source), printable(share.mount_point),
                                        share.read_only ? ", read-only" : ""),
                            share_text(share)});
    }
    for (const InterfacePlan& interface : vm.interfaces) {
        elements.push_back(
            {"interfaces." + interface.name,
             fmt::format("{}  {}  {}", joins_text(interface), fmt::join(interface.addresses, " "), interface.mac),
             {}});
    }
    for (const HostDevicePlan& device : vm.host_devices) {
        elements.push_back({"devices." + device.name, fmt::format("{} {}", device.bus, printable(device.path)), {}});
    }
    for (const CredentialPlan& credential : vm.credentials) {
        elements.push_back({"credentials." + credential.name, credential_text(credential), {}});
    }
    return elements;
}

std::vector<PlanKey> plan_keys(const VmPlan& vm) {
    Keys keys;
    keys.add("hypervisor", vm.hypervisor); // another version is taken at the next start
    keys.add(vm.hypervisor + ".program", printable(vm.program));
    keys.add(vm.hypervisor + ".machine", vm.machine);
    keys.add("accel", vm.accel);
    keys.add(vm.hypervisor + ".extra-args", shell_quoted(vm.extra_args));
    for (const auto& [name, value] : vm.options) {
        keys.add(fmt::format("{}.{}", vm.hypervisor, name), printable(value));
    }
    keys.add("arch", vm.arch);
    keys.add("cpu", printable(vm.cpu));
    keys.add("vcpu", std::to_string(vm.vcpu));
    keys.add("mem", format_size(vm.mem_mib));
    keys.add("mem-max", size_or_none(vm.mem_max_mib));
    keys.add("hugepages", vm.hugepages);
    keys.add("balloon", balloon_text(vm.balloon));
    keys.add("kernel",
             printable(vm.kernel.release.empty() ? vm.kernel.source
                                                 : fmt::format("{} ({})", vm.kernel.source, vm.kernel.release)));
    keys.add("kernel.pin", printable(vm.kernel.pin));
    if (vm.firmware.empty()) { keys.add("kernel.image", vm.kernel.image == KernelImage::elf ? "elf" : "bzimage"); }
    keys.add("kernel-params", printable(fmt::format("{}", fmt::join(vm.kernel.params, " "))));
    keys.add("kernel-config", printable(vm.kernel.config), false); // looked at before, not by the guest
    keys.add("initrd", printable(vm.kernel.initrd));
    keys.add("initrd.content", vm.kernel.initrd_identity);
    keys.add("firmware", printable(vm.firmware));
    keys.add("root", root_text(vm.root));
    keys.add("root.content", content_text(vm.root));
    keys.add("cloud-init.user-data", printable(vm.cloud_init.user_data));
    keys.add("cloud-init.meta-data", printable(vm.cloud_init.meta_data));
    keys.add("cloud-init.network-config", printable(vm.cloud_init.network_config));
    keys.add("init", printable(vm.init));
    keys.add("hostname", printable(vm.hostname));
    keys.add("machine-id", vm.machine_id);
    keys.add("command", shell_quoted(vm.command));
    for (const auto& [name, value] : vm.env) {
        keys.add("env." + printable(name), fmt::format("\"{}\"", printable(value)));
    }
    keys.add("workdir", printable(vm.workdir));
    for (const VolumePlan& volume : vm.volumes) { add_volume(keys, volume); }
    for (const SharePlan& share : vm.shares) { add_share(keys, share); }
    for (const InterfacePlan& interface : vm.interfaces) { add_interface(keys, interface); }
    for (const HostDevicePlan& device : vm.host_devices) {
        keys.element = "devices." + device.name;
        keys.add(keys.element + ".bus", device.bus);
        keys.add(keys.element + ".path", printable(device.path));
        keys.add(keys.element + ".iommu-group", printable(device.iommu_group));
    }
    for (const CredentialPlan& credential : vm.credentials) {
        keys.element = "credentials." + credential.name;
        keys.add(keys.element, credential_text(credential));
    }
    keys.element.clear();
    keys.add("vsock.cid", vm.vsock_cid == 0 ? "" : std::to_string(vm.vsock_cid));
    keys.add("console", vm.console);
    keys.add("graphics", graphics_text(vm.graphics));
    keys.add("ready", ready_text(vm.ready), false);
    keys.add("depends-on", joined(vm.depends_on), false);
    keys.add("restart", restart_text(vm.restart), false);
    keys.add("autostart", vm.autostart ? "true" : "", false);
    keys.add("startup-timeout", format_duration(vm.startup_timeout_ms), false);
    keys.add("shutdown-timeout", format_duration(vm.shutdown_timeout_ms), false);
    add_limits(keys, vm.limits);
    keys.add("vmm-user", printable(vm.vmm_user));
    keys.add("pre-start", commands_text(vm.pre_start), false);
    keys.add("post-stop", commands_text(vm.post_stop), false);
    return keys.take();
}

} // namespace microvmc
