#include "runtime/guest/root.h"

#include "runtime/guest/nine_p.h"
#include "runtime/guest/system.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

constexpr const char* new_root = "/newroot";
constexpr const char* writes = "/microvmc/writes"; ///< the overlay's tmpfs

Failure mount_overlay(const std::string& lower) {
    mkdir(writes, 0755);
    if (mount("tmpfs", writes, "tmpfs", 0, "mode=0755") != 0) {
        return with_errno({"cannot mount the root's tmpfs"}, errno);
    }
    const std::string upper = concat({writes, "/upper"});
    const std::string work = concat({writes, "/work"});
    mkdir(upper.c_str(), 0755);
    mkdir(work.c_str(), 0755);
    const std::string data = concat({"lowerdir=", lower, ",upperdir=", upper, ",workdir=", work});
    if (mount("overlay", new_root, "overlay", 0, data.c_str()) != 0) {
        return with_errno({"cannot mount the root's overlay"}, errno);
    }
    return std::nullopt;
}

Failure move_kernel_file_systems() {
    for (const char* target : {"/proc", "/sys", "/dev", "/run", "/tmp"}) {
        const std::string moved = concat({new_root, target});
        if (auto failure = make_directories(moved)) {
            return concat({"the root share needs ", target, ": ", *failure});
        }
        if (mount(target, moved.c_str(), nullptr, MS_MOVE, nullptr) != 0) {
            return with_errno({"cannot move ", target, " to the new root"}, errno);
        }
    }
    return std::nullopt;
}

// Only ever what lies in memory: a root that was mounted from elsewhere is left alone.
void empty_initramfs() {
    struct statfs root {};
    const bool in_memory = statfs("/", &root) == 0 &&
                           (root.f_type == RAMFS_MAGIC || static_cast<unsigned long>(root.f_type) == TMPFS_MAGIC);
    if (in_memory) { remove_tree("/"); }
}

} // namespace

Failure switch_root(const RootSettings& root) {
    const std::string lower = root.overlay ? "/microvmc/lower" : new_root;
    if (auto failure = make_directories(lower)) { return failure; }
    if (auto failure = make_directories(new_root)) { return failure; }
    if (auto failure = mount_9p(root.tag, lower, "ro")) { return failure; }
    if (root.overlay) {
        if (auto failure = mount_overlay(lower)) { return failure; }
    }
    if (auto failure = move_kernel_file_systems()) { return failure; }
    empty_initramfs();
    if (chdir(new_root) != 0 || mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || chroot(".") != 0 ||
        chdir("/") != 0) {
        return with_errno({"cannot switch to the new root"}, errno);
    }
    return std::nullopt;
}

} // namespace microvmc::guest
