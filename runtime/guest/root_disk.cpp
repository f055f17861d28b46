#include "runtime/guest/root_disk.h"

#include "runtime/guest/disks.h"
#include "runtime/guest/modules.h"
#include "runtime/guest/superblock.h"
#include "runtime/guest/system.h"

#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

namespace microvmc::guest {

namespace {

struct FileSystem {
    std::string_view name;
    const char* without_recovery; ///< the option that leaves a journal alone, which a read-only disk can't play back
};

constexpr FileSystem file_systems[] = {
    {"ext4", "noload"}, {"xfs", "norecovery"}, {"btrfs", "rescue=nologreplay"}, {"erofs", ""}, {"squashfs", ""},
};

const char* without_recovery(std::string_view name) {
    for (const auto& file_system : file_systems) {
        if (file_system.name == name) { return file_system.without_recovery; }
    }
    return "";
}

Failure find_file_system(const std::string& device, std::string& name) {
    const auto head = read_file(device, superblock_bytes);
    if (!head) { return with_errno({"cannot read ", device}, errno); }
    name = superblock_file_system(*head);
    if (name.empty()) { return concat({"no file system is known on the root's disk, ", device}); }
    return std::nullopt;
}

} // namespace

std::string partition_device(const std::string& disk, unsigned partition) {
    if (partition == 0) { return disk; }
    const bool ends_in_digit = disk.back() >= '0' && disk.back() <= '9';
    return concat({disk, ends_in_digit ? "p" : "", std::to_string(partition)});
}

Failure mount_root_disk(const Settings& settings, const RootSettings& root, const char* target) {
    std::string disk;
    if (auto failure = find_disk(root.disk, disk)) { return concat({"the root: ", *failure}); }
    const std::string device = partition_device(disk, root.partition);
    if (!wait_for(device_wait_ms, [&] { return access(device.c_str(), F_OK) == 0; })) {
        return concat({"the root's disk has no partition ", std::to_string(root.partition)});
    }
    std::string fs = root.disk.fs;
    if (fs.empty()) {
        if (auto failure = find_file_system(device, fs)) { return failure; }
    }
    load_file_system(settings, fs);
    const unsigned long flags = root.writable ? 0 : MS_RDONLY;
    int result = mount(device.c_str(), target, fs.c_str(), flags, nullptr);
    if (result != 0 && errno == EROFS && !root.writable) {
        result = mount(device.c_str(), target, fs.c_str(), flags, without_recovery(fs));
    }
    if (result == 0) { return std::nullopt; }
    if (errno == ENODEV) { return concat({"the kernel has no ", fs, " for the root"}); }
    return with_errno({"cannot mount the root ", device, " (", fs, ")"}, errno);
}

} // namespace microvmc::guest
