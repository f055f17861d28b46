#include "runtime/guest/shares.h"

#include "runtime/guest/mount_options.h"
#include "runtime/guest/nine_p.h"
#include "runtime/guest/system.h"

#include <sys/mount.h>

#include <cerrno>

namespace microvmc::guest {

namespace {
// kernel: Documentation/filesystems/virtiofs.rst. EINVAL while no device has this tag (fs/fuse/virtio_fs.c,
// virtio_fs_get_tree), with a line on the console each time, so it isn't asked often.
Failure mount_virtiofs(const ShareSettings& share) {
    const MountOptions options = parse_mount_options(share.options);
    int error_number = 0;
    wait_for(
        device_wait_ms,
        [&] {
            const int result =
                mount(share.tag.c_str(), share.mount_point.c_str(), "virtiofs", options.flags, options.data.c_str());
            error_number = result == 0 ? 0 : errno;
            return error_number != EINVAL;
        },
        50);
    if (error_number == ENODEV) { return concat({"the kernel has no virtiofs for the share ", share.tag}); }
    if (error_number != 0) {
        return with_errno({"cannot mount the virtiofs share ", share.tag, " on ", share.mount_point}, error_number);
    }
    return std::nullopt;
}
} // namespace

Failure mount_share(const ShareSettings& share) {
    if (auto failure = make_directories(share.mount_point)) { return failure; }
    switch (share.protocol) {
    case ShareSettings::Protocol::p9: return mount_9p(share.tag, share.mount_point, share.options);
    case ShareSettings::Protocol::virtiofs: return mount_virtiofs(share);
    }
    return std::nullopt;
}

} // namespace microvmc::guest
