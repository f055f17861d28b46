#include "compiler/traits.h"

#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

constexpr CapabilityName names[] = {
    {"accel.kvm", "hardware virtualization"},
    {"accel.tcg", "emulation, for hosts without KVM"},
    {"cpu.model", "choosing the CPU model (`cpu`)"},
    {"memory.hotplug", "changing `mem` up to `mem-max` while running", "set `mem` to what it needs at most"},
    {"memory.hugepages", "guest memory on huge pages"},
    {"balloon", "taking memory back from a running guest"},
    {"balloon.auto", "a balloon that goes by the guest's need", "set `balloon` and resize it by hand"},
    {"balloon.initial", "a balloon that is inflated at start"},
    {"balloon.deflate-on-oom", "a balloon that yields before the guest kills processes"},
    {"balloon.free-page-reporting", "the guest returns free pages by itself"},
    {"kernel.bzimage", "booting a bzImage"},
    {"kernel.elf", "booting an ELF vmlinux"},
    {"kernel.config", "checking the kernel's configuration"},
    {"kernel.modules", "modules from another directory than the kernel's"},
    {"kernel.initrd", "an initramfs of your own"},
    {"firmware", "booting a disk's own loader", "leave it out to boot a kernel directly"},
    {"cloud-init", "a disk for cloud-init"},
    {"root.share", "a root file system shared by the host"},
    {"root.image", "a root file system on a disk image", "leave `root` out for busybox, or set root.host = true"},
    {"root.dir", "a root file system made of a directory", "leave `root` out for busybox, or set root.host = true"},
    {"root.tar", "a root file system made of a tar archive", "leave `root` out for busybox, or set root.host = true"},
    {"root.oci", "a root file system made of an OCI image", "leave `root` out for busybox, or set root.host = true"},
    {"root.store", "a root file system from a Nix store", "leave `root` out for busybox, or set root.host = true"},
    {"root.overlay-volume", "a volume that takes the root's writes", "use tmpfs or none"},
    {"root.init", "choosing the root's init", "use `command` to say what the guest runs"},
    {"machine-id", "choosing the guest's machine-id"},
    {"volume.raw", "raw disk images"},
    {"volume.qcow2", "qcow2 disk images", "use format raw"},
    {"volume.vhd", "VHD disk images", "use format raw"},
    {"volume.vhdx", "VHDX disk images", "use format raw"},
    {"volume.ext4", "volumes with ext4"},
    {"volume.ext3", "volumes with ext3", "use ext4"},
    {"volume.ext2", "volumes with ext2", "use ext4"},
    {"volume.xfs", "volumes with XFS", "use ext4"},
    {"volume.btrfs", "volumes with btrfs", "use ext4"},
    {"volume.vfat", "volumes with FAT", "use ext4"},
    {"volume.none", "volumes without a file system of ours"},
    {"volume.write", "volumes that the guest writes"},
    {"volume.read-only", "volumes that the guest can't write, enforced by the host"},
    {"volume.direct", "volumes past the host's page cache"},
    {"volume.cache", "choosing a volume's cache mode"},
    {"volume.discard", "freed blocks are given back to the host"},
    {"volume.backing", "volumes that start from another image", "copy the image yourself"},
    {"volume.serial", "choosing a disk's serial number"},
    {"volume.mkfs-args", "more arguments of mkfs"},
    {"volume.grow", "volumes that grow while the guest runs", "restart the machine"},
    {"share.9p", "shares over 9p"},
    {"share.virtiofs", "shares over virtiofs", "use proto 9p"},
    {"share.image", "shares as they were when the machine started", "use proto virtiofs or 9p"},
    {"share.read-only", "shares that the guest can't write, enforced by the host"},
    {"share.cache", "choosing a share's cache mode"},
    {"share.posix-acl", "POSIX ACLs on shares"},
    {"share.xattr", "extended attributes on shares"},
    {"share.dax", "shares mapped into the guest"},
    {"share.security-model", "choosing how 9p stores owners and modes"},
    {"share.id-map", "user and group ids mapped on shares"},
    {"share.on-death", "choosing what follows when a share's server dies"},
    {"share.socket", "a virtiofs server that runs already"},
    {"share.extra-args", "more arguments of a share's server"},
    {"interface.user", "networking without privileges"},
    {"interface.tap", "tap interfaces, on a bridge or routed", "use type user"},
    {"interface.macvtap", "macvtap interfaces on a link of the host", "use type user"},
    {"interface.bridge", "joining an existing bridge", "use type user"},
    {"interface.address", "choosing the guest's addresses", "leave it out; the network gives one"},
    {"interface.queues", "several queues an interface"},
    {"interface.vhost", "packets handled in the host's kernel"},
    {"interface.mtu", "choosing an interface's MTU"},
    {"interface.rate", "limiting an interface's rate"},
    {"interface.unmanaged", "an interface that others make"},
    {"interface.allow-spoofing", "a guest that sends from other addresses"},
    {"forward.tcp", "TCP ports of the host forwarded to the guest"},
    {"forward.udp", "UDP ports of the host forwarded to the guest"},
    {"forward.ipv6", "forwards from and to IPv6 addresses", "forward from 127.0.0.1 or another IPv4 address"},
    {"forward.guest", "ports of the guest forwarded to the host", "let the guest connect to its gateway"},
    {"device.pci", "PCI devices of the host passed through"},
    {"device.usb", "USB devices of the host passed through"},
    {"vsock", "vsock"},
    {"console.serial", "a serial console", "leave it out; the hypervisor's best is taken"},
    {"console.virtio", "a virtio console", "leave it out; the hypervisor's best is taken"},
    {"console.off", "no console", "leave it out; the hypervisor's best is taken"},
    {"graphics", "a display"},
    {"credentials", "secrets handed to the guest"},
    {"depends-on", "machines that await others", "apply the machines one after the other"},
    {"restart", "starting a machine again when it ends"},
    {"autostart", "starting with the host"},
    {"limits", "limits to what a machine may use of the host"},
    {"vmm-user", "running the hypervisor as another user", "run microvmc as that user"},
    {"hooks", "programs run on the host before and after (`pre-start`, `post-stop`)", "run them yourself"},
    {"shutdown", "asking the guest to power off"},
    {"pause", "pausing and resuming"},
    {"snapshot", "saving and restoring a running machine"},
    {"snapshot.elsewhere", "a saved machine that goes on under other paths"},
};

constexpr Capability undeclared = {
    .name = "",
    .support = Support::unsupported,
    .why = "not yet",
    .remedy = {},
};

} // namespace

std::span<const CapabilityName> known_capabilities() {
    return names;
}

std::string_view find_capability(std::string_view name) {
    const auto* found = std::ranges::find(names, name, &CapabilityName::name);
    return found == std::end(names) ? std::string_view{} : found->name;
}

bool is_older(std::string_view version, std::string_view than) {
    if (version.empty()) { return false; }
    const auto take_number = [](std::string_view& text) {
        const std::string_view number = text.substr(0, text.find('.'));
        text.remove_prefix(std::min(number.size() + 1, text.size()));
        return parse_number(number).value_or(0);
    };
    while (!version.empty() || !than.empty()) {
        const std::int64_t its = take_number(version);
        const std::int64_t other = take_number(than);
        if (its != other) { return its < other; }
    }
    return false;
}

std::string refusal(const Traits& traits, std::string_view name, std::string_view version) {
    const Capability& capability = traits.capability(name);
    const auto* known = std::ranges::find(names, name, &CapabilityName::name);
    const std::string_view doc = known == std::end(names) ? name : known->doc;
    if (capability.support != Support::unsupported) {
        if (!is_older(version, capability.since)) { return {}; }
        return fmt::format("not with {} {}: {} (since {})", traits.title, version, doc, capability.since);
    }
    return capability.name.empty() ? fmt::format("microvmc doesn't do this yet: {}", doc)
                                   : fmt::format("not with {}: {} ({})", traits.title, doc, capability.why);
}

std::string refusal_here(const Traits& traits, std::string_view name, std::string_view version,
                         const HostFacts& facts) {
    std::string why = refusal(traits, name, version);
    return why.empty() && traits.host_lacks != nullptr ? traits.host_lacks(name, facts) : why;
}

const KernelFacts* find_kernel(const HostFacts& facts, const KernelPlan& plan) {
    const auto named = facts.named_kernels.find(plan.source);
    if (named != facts.named_kernels.end()) { return &named->second; }
    for (const auto* kernels : {&facts.kernels, &facts.pinned}) {
        for (const KernelFacts& kernel : *kernels) {
            const bool original = kernel.path == plan.source;
            const bool pinned = kernel.pinned_from == plan.source && kernel.identity == plan.identity;
            if (original || pinned) { return &kernel; }
        }
    }
    return nullptr;
}

const Capability& Traits::capability(std::string_view wanted) const {
    const auto found = std::ranges::find(capabilities, wanted, &Capability::name);
    return found == capabilities.end() ? undeclared : *found;
}

} // namespace microvmc
