#include "runtime/volume.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace microvmc {

namespace {

constexpr std::size_t ext_label_limit = 16; // s_volume_name of the superblock; Linux, ext4/super.rst

/// mke2fs writes some MB for each GB; a slow disk with a large volume takes its time.
constexpr std::chrono::minutes mkfs_timeout{10};

bool is_uuid(std::string_view text) {
    if (text.size() != 36) { return false; }
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-'
                 : std::string_view("0123456789abcdefABCDEF").find(text[i]) == std::string_view::npos) {
            return false;
        }
    }
    return true;
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

off_t bytes_of(std::uint64_t mib, const std::string& image) {
    if (mib == 0 || mib > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) >> 20U) {
        throw Error(fmt::format("{} can't have a size of {} MiB", image, mib));
    }
    return static_cast<off_t>(mib << 20U);
}

void check_room(const std::string& directory, std::uint64_t mib, const std::string& image) {
    struct statvfs status {};
    if (::statvfs(directory.c_str(), &status) != 0) {
        throw Error(fmt::format("can't create {}: {}", image, std::strerror(errno)));
    }
    const std::uint64_t free_mib = static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize >> 20U;
    if (mib > free_mib) {
        throw Error(
            fmt::format("can't create {}: it has {} MiB, and {} has room for {} MiB", image, mib, directory, free_mib),
            "make the volume smaller, free some space, or put its image elsewhere with `image`");
    }
}

void make_file_system(const CreateVolume& request, int fd) {
    if (request.mkfs.empty()) { return; }
    std::vector<std::string> argv = request.mkfs;
    // The last one: an earlier one may be a label.
    if (const auto image = std::find(argv.rbegin(), argv.rend(), "{}"); image != argv.rend()) {
        *image = fmt::format("/proc/self/fd/{}", fd);
    }
    RunOptions options;
    options.timeout = mkfs_timeout;
    options.inherit = {fd};
    const Ran ran = run_program(argv, options);
    if (ran.timed_out) { throw Error(fmt::format("{} took too long for {}", argv.front(), request.volume.image)); }
    if (ran.status != 0) {
        throw Error(fmt::format("can't make the {} file system of {}: {} failed with status {}: {}",
                                request.volume.fs_type, request.volume.image, argv.front(), ran.status,
                                last_words(ran)));
    }
}

bool is_locked(int fd) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    const bool record_locked = ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    return record_locked || ::flock(fd, LOCK_EX | LOCK_NB) != 0;
}

} // namespace

std::vector<std::string> mkfs_argv(const VolumePlan& volume, const std::string& program) {
    if (volume.fs_type == "none") { return {}; }
    if (volume.fs_type != "ext4" && volume.fs_type != "ext3" && volume.fs_type != "ext2") {
        throw Error(fmt::format("volume {}: can't make a file system of type {}", volume.name, volume.fs_type),
                    "ext4, ext3 and ext2 are made, and \"none\" leaves it to the guest");
    }
    if (volume.label.size() > ext_label_limit) {
        throw Error(fmt::format("volume {}: the label \"{}\" has {} bytes, {} has room for {}", volume.name,
                                volume.label, volume.label.size(), volume.fs_type, ext_label_limit));
    }
    if (std::ranges::any_of(volume.label, is_control)) {
        throw Error(fmt::format("volume {}: its label has a control character", volume.name));
    }
    if (!volume.uuid.empty() && !is_uuid(volume.uuid)) { // "random", "time" and "clear" are words of mke2fs
        throw Error(fmt::format("volume {}: \"{}\" is not a UUID", volume.name, volume.uuid));
    }
    std::vector<std::string> argv{program, "-q", "-t", volume.fs_type, "-F"};
    if (!volume.label.empty()) { argv.insert(argv.end(), {"-L", volume.label}); }
    if (!volume.uuid.empty()) { argv.insert(argv.end(), {"-U", volume.uuid}); }
    argv.insert(argv.end(), {"-E", "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,nodiscard", "{}"});
    return argv;
}

bool create_volume(const CreateVolume& request) {
    const std::string& image = request.volume.image;
    struct stat status {};
    if (::lstat(image.c_str(), &status) == 0) { return false; }
    if (request.volume.format != "raw") {
        throw Error(fmt::format("can't create {}: only raw images are made, not {}", image, request.volume.format));
    }
    const off_t size = bytes_of(request.volume.size_mib, image);
    const std::string directory = std::filesystem::path(image).parent_path().string();
    check_room(directory, request.volume.size_mib, image);

    NewFile file(image, 0600);
    if (::ftruncate(file.fd(), size) != 0) {
        throw Error(fmt::format("can't make {} {} MiB long: {}", image, request.volume.size_mib, std::strerror(errno)));
    }
    make_file_system(request, file.fd());
    return file.publish();
}

void grow_volume(const std::string& image, std::uint64_t size_mib) {
    const off_t size = bytes_of(size_mib, image);
    const Fd fd(::open(image.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        throw Error(fmt::format("can't open {}: {}", image, std::strerror(errno)));
    }
    if (!S_ISREG(status.st_mode)) { throw Error(fmt::format("can't grow {}: it is not a file", image)); }
    if (is_locked(fd.get())) {
        throw Error(fmt::format("can't grow {}: a running machine uses it", image), "stop that machine first");
    }
    if (size < status.st_size) {
        throw Error(fmt::format("can't shrink {} from {} MiB to {} MiB: what lies at its end would be lost", image,
                                status.st_size >> 20U, size_mib),
                    "keep the size, or make a new volume and copy the data");
    }
    if (size > status.st_size && (::ftruncate(fd.get(), size) != 0 || ::fsync(fd.get()) != 0)) {
        throw Error(fmt::format("can't make {} {} MiB long: {}", image, size_mib, std::strerror(errno)));
    }
}

} // namespace microvmc
