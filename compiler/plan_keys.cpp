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

std::string root_text(const RootPlan& root) {
    switch (root.kind) {
    case RootPlan::Kind::initramfs: return "busybox, in memory";
    case RootPlan::Kind::share:
        return fmt::format("{}, read-only{}", printable(root.source), root.overlay ? ", changes kept in memory" : "");
    }
    return {};
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
    keys.add_if(share.read_only, at + ".read-only");
}

void add_interface(Keys& keys, const InterfacePlan& interface) {
    const std::string at = "interfaces." + interface.name;
    keys.element = at;
    keys.add(at + ".type", interface.type);
    keys.add(at + ".mac", interface.mac);
    keys.add(at + ".address", fmt::format("{}", fmt::join(interface.addresses, ", ")));
    keys.add(at + ".gateway", interface.gateway);
    keys.add(at + ".dns", fmt::format("{}", fmt::join(interface.dns, ", ")));
    keys.element.clear();
    for (const ForwardPlan& forward : interface.forwards) {
        keys.add("forward-ports." + forward.name, forward_text(forward));
    }
}

} // namespace

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
    return fmt::format("{}{}{}:{} -> {}{}{}/{}", v6 ? "[" : "", forward.host_address, v6 ? "]" : "", forward.host_port,
                       forward.guest_address, forward.guest_address.empty() ? "" : ":", forward.guest_port,
                       forward.proto);
}

std::vector<PlanElement> plan_elements(const VmPlan& vm) {
    std::vector<PlanElement> elements;
    for (const VolumePlan& volume : vm.volumes) {
        std::string text =
            volume.size_mib == 0 ? volume.fs_type : fmt::format("{} {}", format_size(volume.size_mib), volume.fs_type);
        if (!volume.mount_point.empty()) { text += " on " + printable(volume.mount_point); }
        if (volume.read_only) { text += ", read-only"; }
        elements.push_back({"volumes." + volume.name, std::move(text), printable(volume.image)});
    }
    for (const SharePlan& share : vm.shares) {
        elements.push_back({"shares." + share.name,
                            fmt::format("{} on {}{}", printable(share.source), printable(share.mount_point),
                                        share.read_only ? ", read-only" : ""),
                            share.proto});
    }
    for (const InterfacePlan& interface : vm.interfaces) {
        elements.push_back(
            {"interfaces." + interface.name,
             fmt::format("{}  {}  {}", interface.type, fmt::join(interface.addresses, " "), interface.mac),
             {}});
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
    keys.add("vcpu", std::to_string(vm.vcpu));
    keys.add("mem", format_size(vm.mem_mib));
    keys.add("kernel",
             printable(vm.kernel.release.empty() ? vm.kernel.source
                                                 : fmt::format("{} ({})", vm.kernel.source, vm.kernel.release)));
    keys.add("kernel.pin", printable(vm.kernel.pin));
    keys.add("kernel.image", vm.kernel.image == KernelImage::elf ? "elf" : "bzimage");
    keys.add("kernel-params", printable(fmt::format("{}", fmt::join(vm.kernel.params, " "))));
    keys.add("root", root_text(vm.root));
    keys.add("hostname", printable(vm.hostname));
    keys.add("command", shell_quoted(vm.command));
    for (const auto& [name, value] : vm.env) {
        keys.add("env." + printable(name), fmt::format("\"{}\"", printable(value)));
    }
    keys.add("workdir", printable(vm.workdir));
    for (const VolumePlan& volume : vm.volumes) { add_volume(keys, volume); }
    for (const SharePlan& share : vm.shares) { add_share(keys, share); }
    for (const InterfacePlan& interface : vm.interfaces) { add_interface(keys, interface); }
    keys.element.clear();
    keys.add("ready", ready_text(vm.ready), false);
    keys.add("startup-timeout", format_duration(vm.startup_timeout_ms), false);
    keys.add("shutdown-timeout", format_duration(vm.shutdown_timeout_ms), false);
    return keys.take();
}

} // namespace microvmc
