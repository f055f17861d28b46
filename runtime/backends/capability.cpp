#include "runtime/backends/capability.h"

#include <algorithm>
#include <array>
#include <span>

namespace microvmc {

namespace {

constexpr std::array ours{
    native("kernel.config"),
    native("kernel.initrd"),
    native("kernel.modules"),
    native("cloud-init"),
    native("root.image"),
    native("root.dir"),
    native("root.tar"),
    native("root.oci"),
    native("root.overlay-volume"),
    native("root.init"),
    native("machine-id"),
    native("credentials"),
    native("volume.ext4"),
    native("volume.ext3"),
    native("volume.ext2"),
    native("volume.xfs"),
    native("volume.btrfs"),
    native("volume.vfat"),
    native("volume.none"),
    native("volume.mkfs-args"),
    native("interface.address"),
    native("interface.allow-spoofing"),
    native("depends-on"),
    native("restart"),
    native("autostart"),
    native("limits"),
    native("hooks"),
};

constexpr std::array virtiofsds{
    native("share.virtiofs"), native("share.cache"),    native("share.posix-acl"), native("share.xattr"),
    native("share.id-map"),   native("share.on-death"), native("share.socket"),    native("share.extra-args"),
};

constexpr std::string_view no_user_network = "it has no network of its own, but taps";
constexpr std::string_view of_networks = "to a machine in a network, by the host's firewall";

constexpr std::array of_kvm_and_taps{
    native("accel.kvm"),
    lacking("accel.tcg", "it needs KVM", "use qemu"),
    lacking("cpu.model", "the guest has the host's CPU"),
    lacking("interface.user", no_user_network, "use type tap, or qemu"),
    native("interface.tap"),
    native("interface.bridge"),
    lacking("interface.queues", "a tap gets one so far"),
    lacking("interface.vhost", "it handles packets itself"),
    lacking("forward.guest", "microvmc carries these over QEMU's user network alone", "let the guest use its gateway"),
    lacking("vmm-user", "microvmc opens what is needed for QEMU alone so far"),
    native("interface.unmanaged"),
    bridged("forward.tcp", of_networks),
    bridged("forward.udp", of_networks),
    lacking("forward.ipv6", no_user_network),
    bridged("interface.rate", "the host's kernel drops what is beyond it"),
};

} // namespace

std::vector<Capability> with_ours(std::vector<Capability> its) {
    its.insert(its.end(), ours.begin(), ours.end());
    return its;
}

std::vector<Capability> with_virtiofsd(std::vector<Capability> its) {
    its.insert(its.end(), virtiofsds.begin(), virtiofsds.end());
    return its;
}

std::vector<Capability> with_kvm_and_taps(std::vector<Capability> its) {
    for (const Capability& one : of_kvm_and_taps) {
        if (std::ranges::find(its, one.name, &Capability::name) == its.end()) { its.push_back(one); }
    }
    return its;
}

bool is_independent(std::string_view name) {
    const auto of = [name](std::span<const Capability> all) {
        return std::ranges::find(all, name, &Capability::name) != all.end();
    };
    return of(ours) || of(std::span(virtiofsds).subspan(1)); // the first is the device, which is each one's own
}

} // namespace microvmc
