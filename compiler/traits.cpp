#include "compiler/traits.h"

#include <algorithm>

namespace microvmc {

namespace {

constexpr CapabilityName names[] = {
    {"accel.kvm", "hardware virtualization"},
    {"accel.tcg", "emulation, for hosts without KVM"},
    {"cpu.model", "choosing the CPU model (`cpu`)"},
    {"memory.hotplug", "changing `mem` up to `mem-max` while running"},
    {"memory.hugepages", "guest memory on huge pages"},
    {"balloon", "taking memory back from a running guest"},
    {"balloon.deflate-on-oom", "a balloon that yields before the guest kills processes"},
    {"balloon.free-page-reporting", "the guest returns free pages by itself"},
    {"kernel.bzimage", "booting a bzImage"},
    {"kernel.elf", "booting an ELF vmlinux"},
    {"firmware", "booting a disk's own loader"},
    {"root.share", "a root file system shared by the host"},
    {"root.image", "a root file system on a read-only disk"},
    {"volume.raw", "raw disk images"},
    {"volume.qcow2", "qcow2 disk images"},
    {"volume.vhd", "VHD disk images"},
    {"volume.vhdx", "VHDX disk images"},
    {"volume.ext4", "volumes with ext4"},
    {"volume.ext3", "volumes with ext3"},
    {"volume.ext2", "volumes with ext2"},
    {"volume.xfs", "volumes with XFS"},
    {"volume.btrfs", "volumes with btrfs"},
    {"volume.vfat", "volumes with FAT"},
    {"volume.none", "volumes without a file system of ours"},
    {"volume.read-only", "volumes that the guest can't write, enforced by the host"},
    {"volume.direct", "volumes past the host's page cache"},
    {"volume.cache", "choosing a volume's cache mode"},
    {"volume.discard", "freed blocks are given back to the host"},
    {"volume.backing", "volumes that start from another image"},
    {"share.9p", "shares over 9p"},
    {"share.virtiofs", "shares over virtiofs"},
    {"share.read-only", "shares that the guest can't write, enforced by the host"},
    {"share.cache", "choosing a share's cache mode"},
    {"share.posix-acl", "POSIX ACLs on shares"},
    {"share.xattr", "extended attributes on shares"},
    {"share.dax", "shares mapped into the guest"},
    {"share.security-model", "choosing how 9p stores owners and modes"},
    {"share.id-map", "user and group ids mapped on shares"},
    {"interface.user", "networking without privileges"},
    {"interface.tap", "tap interfaces, on a bridge or routed"},
    {"interface.macvtap", "macvtap interfaces on a link of the host"},
    {"interface.bridge", "joining an existing bridge"},
    {"interface.queues", "several queues an interface"},
    {"interface.vhost", "packets handled in the host's kernel"},
    {"interface.mtu", "choosing an interface's MTU"},
    {"interface.rate", "limiting an interface's rate"},
    {"forward.tcp", "TCP ports of the host forwarded to the guest"},
    {"forward.udp", "UDP ports of the host forwarded to the guest"},
    {"forward.ipv6", "forwards from and to IPv6 addresses"},
    {"forward.guest", "ports of the guest forwarded to the host"},
    {"device.pci", "PCI devices of the host passed through"},
    {"device.usb", "USB devices of the host passed through"},
    {"vsock", "vsock"},
    {"console.serial", "a serial console"},
    {"console.virtio", "a virtio console"},
    {"console.off", "no console"},
    {"graphics", "a display"},
    {"shutdown", "asking the guest to power off"},
    {"pause", "pausing and resuming"},
    {"snapshot", "saving and restoring a running machine"},
};

constexpr Capability undeclared = {
    .name = "",
    .support = Support::unsupported,
    .why = "microvmc has not built this for it",
    .remedy = "choose another hypervisor, or leave the key out",
};

} // namespace

std::span<const CapabilityName> known_capabilities() {
    return names;
}

std::string_view find_capability(std::string_view name) {
    const auto* found = std::ranges::find(names, name, &CapabilityName::name);
    return found == std::end(names) ? std::string_view{} : found->name;
}

const Capability& Traits::capability(std::string_view wanted) const {
    const auto found = std::ranges::find(capabilities, wanted, &Capability::name);
    return found == capabilities.end() ? undeclared : *found;
}

} // namespace microvmc
