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

} // namespace

std::vector<Capability> with_ours(std::vector<Capability> its) {
    its.insert(its.end(), ours.begin(), ours.end());
    return its;
}

std::vector<Capability> with_virtiofsd(std::vector<Capability> its) {
    its.insert(its.end(), virtiofsds.begin(), virtiofsds.end());
    return its;
}

bool is_independent(std::string_view name) {
    const auto of = [name](std::span<const Capability> all) {
        return std::ranges::find(all, name, &Capability::name) != all.end();
    };
    return of(ours) || of(std::span(virtiofsds).subspan(1)); // the first is the device, which is each one's own
}

} // namespace microvmc
