#include "runtime/guest/root.h"

#include "runtime/guest/nine_p.h"
#include "runtime/guest/root_disk.h"
#include "runtime/guest/system.h"
#include "runtime/guest/volumes.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

constexpr const char* new_root = "/newroot";
constexpr const char* lower = "/microvmc/lower";
constexpr const char* writes = "/microvmc/writes";     ///< what takes the root's
constexpr const char* writes_later = "/microvmc/root"; ///< below /run, where a volume of writes is found at the end

Failure mount_source(const Settings& settings, const RootSettings& root, const char* target) {
    switch (root.kind) {
    case RootSettings::Kind::share: return mount_9p(root.tag, target, "ro");
    case RootSettings::Kind::store: return std::nullopt; // it has a place of its own
    case RootSettings::Kind::disk: return mount_root_disk(settings, root, target);
    }
    return std::nullopt;
}

Failure mount_writes(const Settings& settings, const RootSettings& root, const char* target) {
    mkdir(target, 0755);
    if (root.overlay == RootSettings::Overlay::volume) {
        if (!settings.overlay) { return std::string("the root's writes go to a volume, and none is named"); }
        VolumeSettings volume = *settings.overlay;
        volume.mount_point = target;
        return mount_volume(volume);
    }
    if (mount("tmpfs", target, "tmpfs", 0, "mode=0755") != 0) {
        return with_errno({"cannot mount the root's tmpfs"}, errno);
    }
    return std::nullopt;
}

Failure mount_overlay(const Settings& settings, const RootSettings& root) {
    if (auto failure = mount_writes(settings, root, writes)) { return failure; }
    const std::string upper = concat({writes, "/upper"});
    const std::string work = concat({writes, "/work"});
    mkdir(upper.c_str(), 0755);
    mkdir(work.c_str(), 0755);
    // Without an index another root may be put below what was written (kernel: Documentation/filesystems/overlayfs.rst,
    // "Changes to underlying filesystems").
    const std::string data = concat({"index=off,lowerdir=", lower, ",upperdir=", upper, ",workdir=", work});
    if (mount("overlay", new_root, "overlay", 0, data.c_str()) != 0) {
        return with_errno({"cannot mount the root's overlay"}, errno);
    }
    return std::nullopt;
}

Failure move_mount(const std::string& from, const std::string& to) {
    if (mount(from.c_str(), to.c_str(), nullptr, MS_MOVE, nullptr) != 0) {
        return with_errno({"cannot move ", from, " to the new root"}, errno);
    }
    return std::nullopt;
}

Failure move_kernel_file_systems() {
    for (const char* target : {"/proc", "/sys", "/dev", "/run", "/tmp"}) {
        const std::string moved = concat({new_root, target});
        if (auto failure = make_directories(moved)) { return concat({"the root needs ", target, ": ", *failure}); }
        if (auto failure = move_mount(target, moved)) { return failure; }
    }
    return std::nullopt;
}

/// Whoever ends the machine unmounts what it sees, and a journal that was closed needs no recovery.
Failure keep_writes_in_sight() {
    const std::string seen = concat({new_root, "/run", writes_later});
    if (auto failure = make_directories(seen)) { return failure; }
    chmod(concat({new_root, "/run/microvmc"}).c_str(), 0755);
    if (auto failure = move_mount(writes, seen)) { return failure; }
    chmod(seen.c_str(), 0700);
    return std::nullopt;
}

// Only ever what lies in memory: a root that was mounted from elsewhere is left alone.
void empty_initramfs() {
    struct statfs root {};
    const bool in_memory = statfs("/", &root) == 0 &&
                           (root.f_type == RAMFS_MAGIC || static_cast<unsigned long>(root.f_type) == TMPFS_MAGIC);
    if (in_memory) { remove_tree("/"); }
}

/// What the store lies on; the store itself waits until it gets its place.
Failure mount_below_store(const Settings& settings, const RootSettings& root) {
    if (auto failure = mount_writes(settings, root, new_root)) { return failure; }
    if (auto failure = make_directories(lower)) { return failure; }
    return mount_9p(root.tag, lower, "ro");
}

/// Above what was moved to the new root: a store may lie in /tmp.
Failure place_store(const RootSettings& root) {
    const std::string place = concat({new_root, root.store});
    if (auto failure = make_directories(place)) { return failure; }
    return move_mount(lower, place);
}

/// The root on `new_root`, whatever it is made of.
Failure mount_root(const Settings& settings, const RootSettings& root) {
    if (auto failure = make_directories(new_root)) { return failure; }
    if (root.kind == RootSettings::Kind::store) { return mount_below_store(settings, root); }
    const bool overlaid = root.overlay != RootSettings::Overlay::none;
    const char* const target = overlaid ? lower : new_root;
    if (auto failure = make_directories(target)) { return failure; }
    if (auto failure = mount_source(settings, root, target)) { return failure; }
    return overlaid ? mount_overlay(settings, root) : std::nullopt;
}

} // namespace

Failure switch_root(const Settings& settings, const RootSettings& root) {
    if (auto failure = mount_root(settings, root)) { return failure; }
    if (auto failure = move_kernel_file_systems()) { return failure; }
    if (root.kind == RootSettings::Kind::store) {
        if (auto failure = place_store(root)) { return failure; }
    }
    if (root.kind != RootSettings::Kind::store && root.overlay == RootSettings::Overlay::volume) {
        if (auto failure = keep_writes_in_sight()) { return failure; }
    }
    empty_initramfs();
    if (chdir(new_root) != 0 || mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || chroot(".") != 0 ||
        chdir("/") != 0) {
        return with_errno({"cannot switch to the new root"}, errno);
    }
    return std::nullopt;
}

} // namespace microvmc::guest
