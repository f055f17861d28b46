#include "runtime/backends/parts.h"

#include "runtime/cloud_init.h"
#include "runtime/error.h"
#include "runtime/guest_spec.h"
#include "runtime/kernel_params.h"
#include "runtime/share_image.h"
#include "runtime/virtiofs.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <variant>

namespace microvmc {

namespace {

VolumePlan read_only_disk(std::string image, const char* serial) {
    VolumePlan disk;
    disk.image = std::move(image);
    disk.serial = serial;
    disk.read_only = true;
    return disk;
}

void add_root_disk(const VmPlan& vm, std::vector<VolumePlan>& disks) {
    switch (vm.root.kind) {
    case RootPlan::Kind::initramfs:
    case RootPlan::Kind::share:
    case RootPlan::Kind::store: return;
    case RootPlan::Kind::image: {
        VolumePlan& disk = disks.emplace_back(read_only_disk(vm.root.source, root_serial));
        disk.format = vm.root.format;
        disk.read_only = vm.root.read_only;
        return;
    }
    case RootPlan::Kind::dir:
    case RootPlan::Kind::tar:
    case RootPlan::Kind::oci: disks.push_back(read_only_disk(vm.root.image, root_serial)); return;
    }
}

/// Whether `path` is `directory` or below it.
bool is_below(const std::string& path, const std::string& directory) {
    return path == directory || directory == "/" || path.starts_with(directory + "/");
}

bool is_made_read_only(const SharePlan& share) {
    return share.read_only && is_served_by_vmm(share);
}

} // namespace

std::string console_param(const VmPlan& vm) {
    if (vm.console == "off") { return "console=null"; }
    return vm.console == "virtio" ? "console=hvc0" : "console=ttyS0";
}

std::string console_device(const VmPlan& vm) {
    if (vm.console == "off") { return "/dev/null"; }
    return vm.console == "virtio" ? "/dev/hvc0" : "/dev/ttyS0";
}

void add_hotplug_params(const VmPlan& vm, std::vector<std::string>& params) {
    if (vm.mem_max_mib == 0) { return; }
    params.insert(params.end(), {"memhp_default_state=online", "memory_hotplug.online_policy=auto-movable"});
}

std::string kernel_path(const VmPlan& vm) {
    return vm.kernel.pin + (vm.kernel.image == KernelImage::elf ? "/vmlinux" : "/vmlinuz");
}

std::string command_line_of(const VmPlan& vm) {
    std::optional<std::string> params = kernel_command_line(vm.kernel.params);
    if (!params) {
        throw Error(fmt::format("{}: the kernel's command line can't be written", vm.name),
                    fmt::format("no parameter may be empty or have a double quote in it, and all of them together {} "
                                "bytes at most",
                                max_kernel_command_line));
    }
    return std::move(*params);
}

void add_device_modules(const VmPlan& vm, std::vector<std::string>& modules) {
    const auto want = [&modules](const std::string& name) {
        if (std::ranges::find(modules, name) == modules.end()) { modules.push_back(name); }
    };
    const auto want_share = [&want](const std::string& proto) {
        if (proto == "9p") {
            want("9pnet_virtio");
            want("9p");
        } else if (proto == "image") {
            want("virtio_blk");
            want("erofs");
        } else {
            want("virtiofs");
        }
    };
    if (has_balloon(vm)) { want("virtio_balloon"); }
    if (vm.mem_max_mib != 0) { want("virtio_mem"); }
    if (!vm.cloud_init.instance_id.empty()) {
        want("virtio_blk");
        want("isofs");
    }
    switch (vm.root.kind) {
    case RootPlan::Kind::initramfs: break;
    case RootPlan::Kind::share:
    case RootPlan::Kind::store: want_share("9p"); break;
    case RootPlan::Kind::image: want("virtio_blk"); break; // its file system the guest finds out
    case RootPlan::Kind::dir:
    case RootPlan::Kind::tar:
    case RootPlan::Kind::oci:
        want("virtio_blk");
        want(vm.root.fs_type);
        break;
    }
    if (vm.root.kind != RootPlan::Kind::initramfs && vm.root.kind != RootPlan::Kind::store &&
        vm.root.overlay != "none") {
        want("overlay");
    }
    for (const Device& device : vm.devices()) {
        std::visit(Overloaded{
                       [&](const VolumePlan& volume) {
                           want("virtio_blk");
                           const bool takes_writes = volume.name == vm.root.overlay;
                           for (const std::string& module : file_system_modules(volume, takes_writes)) { want(module); }
                       },
                       [&](const SharePlan& share) { want_share(share.proto); },
                       [&](const InterfacePlan&) { want("virtio_net"); },
                       [&](const HostDevicePlan&) {},
                   },
                   device);
    }
}

std::vector<std::string> root_file_systems(const VmPlan& vm) {
    if (vm.root.kind != RootPlan::Kind::image) { return {}; }
    return {"ext4", "xfs", "btrfs", "erofs", "squashfs"};
}

std::vector<VolumePlan> disks_of(const VmPlan& vm) {
    std::vector<VolumePlan> disks;
    add_root_disk(vm, disks);
    disks.insert(disks.end(), vm.volumes.begin(), vm.volumes.end());
    for (const SharePlan& share : vm.shares) {
        if (share.proto == "image") { disks.push_back(read_only_disk(share_image_path(vm, share), "")); }
    }
    if (!vm.cloud_init.instance_id.empty()) { disks.push_back(read_only_disk(cloud_init_path(vm), "cidata")); }
    return disks;
}

std::size_t disk_number(const VmPlan& vm, const std::string& volume) {
    const std::vector<VolumePlan> disks = disks_of(vm); // others than volumes have no name
    return static_cast<std::size_t>(std::ranges::find(disks, volume, &VolumePlan::name) - disks.begin());
}

std::vector<Descriptor> macvtap_descriptors(const VmPlan& vm) {
    std::vector<Descriptor> made;
    for (const InterfacePlan& each : vm.interfaces) {
        if (each.type != "macvtap") { continue; }
        const int number = first_descriptor + static_cast<int>(made.size());
        made.push_back({.kind = Descriptor::Kind::macvtap, .number = number, .path = each.id});
    }
    return made;
}

int macvtap_number(const VmPlan& vm, const InterfacePlan& interface) {
    const std::vector<Descriptor> all = macvtap_descriptors(vm);
    const auto found = std::ranges::find(all, interface.id, &Descriptor::path);
    return found == all.end() ? -1 : found->number;
}

std::vector<std::string> raw_images(const VmPlan& vm) {
    std::vector<std::string> images;
    for (const VolumePlan& disk : disks_of(vm)) {
        if (disk.format == "raw") { images.push_back(disk.image); }
    }
    return images;
}

std::vector<std::string> with_environment(const std::string& name, const std::string& value,
                                          std::vector<std::string> argv) {
    argv.insert(argv.begin(), {"/usr/bin/env", name + "=" + value});
    return argv;
}

bool is_served_by_vmm(const SharePlan& share) {
    return share.proto == "9p" || share.server_kind == "own";
}

bool has_virtiofs_server(const SharePlan& share) {
    return share.proto == "virtiofs" && !share.server.empty();
}

std::vector<Child> virtiofs_servers(const VmPlan& vm) {
    std::vector<Child> servers;
    for (std::size_t i = 0; i < vm.shares.size(); ++i) {
        if (has_virtiofs_server(vm.shares[i])) { servers.push_back(virtiofs_server(vm, vm.shares[i], i)); }
    }
    return servers;
}

std::vector<std::string> read_only_shares(const VmPlan& vm) {
    std::vector<std::string> sources;
    for (const SharePlan& share : vm.shares) {
        if (is_made_read_only(share)) { sources.push_back(share.source); }
    }
    return sources;
}

void refuse_read_only_shares(const VmPlan& vm, const HostFacts& facts, std::string_view title,
                             std::vector<Problem>& problems) {
    for (const SharePlan& share : vm.shares) {
        if (!is_made_read_only(share)) { continue; }
        const std::string key = "shares." + share.name + ".source";
        if (facts.uid != 0) {
            problems.push_back(
                {key, fmt::format("shares of {}'s own are made read-only from outside, which takes root", title),
                 "run microvmc as root, or leave read-only out"});
        }
        if (is_below(vm.runtime_dir, share.source)) {
            problems.push_back(
                {key, fmt::format("{} can't share {} read-only, where it makes its own socket", title, share.source),
                 "share a directory below it, or name another place in MICROVMC_RUNTIME_DIR"});
        }
        for (const VolumePlan& disk : disks_of(vm)) {
            if (disk.read_only || !is_below(disk.image, share.source)) { continue; }
            problems.push_back(
                {key, fmt::format("{} can't share {} read-only and write {} in it", title, share.source, disk.image),
                 "keep the image elsewhere, or share a directory below it"});
        }
    }
}

void require_no_shares(const VmPlan& vm, std::string_view title) {
    const auto served = [](const SharePlan& share) { return share.proto != "image"; };
    const auto found = std::ranges::find_if(vm.shares, served);
    if (found == vm.shares.end()) { return; }
    throw Error(
        fmt::format("{} can't save a machine that shares {}: its server's state would be lost", title, found->source),
        "give it the files on a volume");
}

bool has_balloon(const VmPlan& vm) {
    return vm.balloon.mode != BalloonPlan::Mode::off;
}

std::optional<std::size_t> numbered(std::string_view id, std::string_view prefix, std::string_view suffix) {
    if (!id.starts_with(prefix)) { return std::nullopt; }
    id.remove_prefix(prefix.size());
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc{} || std::string_view(end, id.data() + id.size()) != suffix) { return std::nullopt; }
    return number;
}

void require_node(const HostFacts& facts, const char* node, std::string_view module, const std::string& key,
                  std::vector<Problem>& problems) {
    const auto known = facts.paths.find(node);
    const PathFacts host = known == facts.paths.end() ? PathFacts{} : known->second;
    if (host.kind == PathFacts::Kind::missing) {
        problems.push_back(
            {key, fmt::format("this host has no {}", node), fmt::format("modprobe {} brings it", module)});
    } else if (!host.readable || !host.writable) {
        problems.push_back({key, fmt::format("you may not open {}", node),
                            "join the group that it belongs to, or run microvmc as root"});
    }
}

void require_vhost_vsock(const HostFacts& facts, std::vector<Problem>& problems) {
    require_node(facts, "/dev/vhost-vsock", "vhost_vsock", "vsock", problems);
}

void require_vhost_net(const VmPlan& vm, const HostFacts& facts, std::vector<Problem>& problems) {
    for (const InterfacePlan& interface : vm.interfaces) {
        if (interface.vhost != "on" || interface.type == "user") { continue; }
        require_node(facts, vhost_net_node, "vhost_net", "interfaces." + interface.name, problems);
    }
}

void refuse_odd_queues(const VmPlan& vm, std::string_view title, std::vector<Problem>& problems) {
    for (const InterfacePlan& interface : vm.interfaces) {
        if (interface.queues <= 1) { continue; }
        const std::string key = "interfaces." + interface.name;
        if (interface.type == "macvtap") {
            problems.push_back({key, fmt::format("a macvtap has one queue with {}", title), "leave `queues` out"});
        }
        if (interface.vhost == "on") {
            problems.push_back({key, fmt::format("{} has one queue where the host's kernel handles packets", title),
                                "leave `queues` or `vhost` out"});
        }
        if (interface.queues > vm.vcpu) {
            problems.push_back({key, fmt::format("{} has a queue for each virtual CPU at most", title),
                                fmt::format("set `vcpu` to {}, or have fewer queues", interface.queues)});
        }
    }
}

} // namespace microvmc
