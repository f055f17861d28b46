#include "runtime/guest/nine_p.h"

#include "runtime/guest/mount_options.h"
#include "runtime/guest/system.h"

#include <sys/mount.h>

#include <cerrno>

namespace microvmc::guest {

namespace {
// Asked before mounting: a mount of a tag that isn't there yet writes a line to the console, each time.
bool device_has_tag(const std::string& tag) {
    constexpr const char* devices = "/sys/bus/virtio/devices";
    for (const auto& device : list_directory(devices)) {
        const auto found = read_file(concat({devices, "/", device, "/mount_tag"}), 4096);
        if (found && found->c_str() == tag) { return true; } // Linux ends the tag with a NUL
    }
    return false;
}
} // namespace

Failure mount_9p(const std::string& tag, const std::string& target, std::string_view options) {
    const MountOptions wanted = parse_mount_options(concat({"trans=virtio,version=9p2000.L,msize=512000,", options}));
    int error_number = 0;
    // The transport answers ENOENT until the device is wholly there (net/9p/trans_virtio.c, p9_virtio_create).
    const bool mounted = wait_for(device_wait_ms, [&] {
        if (!device_has_tag(tag)) { return false; }
        error_number = mount(tag.c_str(), target.c_str(), "9p", wanted.flags, wanted.data.c_str()) == 0 ? 0 : errno;
        return error_number != ENOENT;
    });
    if (!mounted) { return concat({"no 9p device with the tag ", tag, " appeared"}); }
    if (error_number == ENODEV) { return concat({"the kernel has no 9p file system for the share ", tag}); }
    if (error_number != 0) { return with_errno({"cannot mount the 9p share ", tag, " on ", target}, error_number); }
    return std::nullopt;
}

} // namespace microvmc::guest
