#include "runtime/volume.h"

#include "compiler/file_system.h"
#include "runtime/copy_file.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/image_header.h"
#include "runtime/image_lock.h"
#include "runtime/process.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc {

namespace {

/// They write some MB for each GB; a slow disk with a large volume takes its time.
constexpr std::chrono::minutes command_timeout{10};

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

bool is_fat_volume_id(std::string_view text) {
    return text.size() == 9 && text[4] == '-' && text.find_first_not_of("0123456789ABCDEF-") == std::string_view::npos;
}

/// Whether a program's version, "6.1.0", is that or a later one; of one that isn't known, no.
bool is_at_least(std::string_view version, unsigned major, unsigned minor) {
    unsigned its_major = 0;
    unsigned its_minor = 0;
    const char* const end = version.data() + version.size();
    const auto first = std::from_chars(version.data(), end, its_major);
    if (first.ec != std::errc() || first.ptr == end) { return false; }
    if (std::from_chars(first.ptr + 1, end, its_minor).ec != std::errc()) { return false; }
    return its_major != major ? its_major > major : its_minor >= minor;
}

// What lies below, newer mkfs.xfs makes only when told that it is for tests; the kernel mounts it all the same
// (xfsprogs: mkfs/xfs_mkfs.c, validate_supported).
constexpr std::uint64_t xfs_supported_mib = 300;
// Below, mkfs.btrfs needs data and metadata in the same block groups (btrfs-progs: mkfs/common.c, 109 MiB).
constexpr std::uint64_t btrfs_mixed_mib = 128;

using Argv = std::vector<std::string>;

Argv mke2fs_argv(const VolumePlan& volume, const std::string& program) {
    Argv argv{program, "-q", "-t", volume.fs_type, "-F", "-U", volume.uuid};
    if (!volume.label.empty()) { argv.insert(argv.end(), {"-L", volume.label}); }
    argv.insert(argv.end(), {"-E", "root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,nodiscard"});
    return argv;
}

Argv mkfs_xfs_argv(const VolumePlan& volume, const ToolFacts& program) {
    Argv argv{program.path, "-q", "-f", "-K", "-m", "uuid=" + volume.uuid};
    if (!volume.label.empty()) { argv.insert(argv.end(), {"-L", volume.label}); }
    if (volume.size_mib < xfs_supported_mib && is_at_least(program.version, 5, 19)) {
        argv.emplace_back("--unsupported");
    }
    return argv;
}

Argv mkfs_btrfs_argv(const VolumePlan& volume, const std::string& program) {
    Argv argv{program, "-q", "-f", "-K", "-U", volume.uuid};
    if (!volume.label.empty()) { argv.insert(argv.end(), {"-L", volume.label}); }
    if (volume.size_mib < btrfs_mixed_mib) { argv.emplace_back("--mixed"); }
    return argv;
}

Argv mkfs_fat_argv(const VolumePlan& volume, const std::string& program) {
    Argv argv{program, "-i", volume.uuid.substr(0, 4) + volume.uuid.substr(5)};
    if (!volume.label.empty()) { argv.insert(argv.end(), {"-n", volume.label}); }
    return argv;
}

off_t bytes_of(std::uint64_t mib, const std::string& image) {
    if (mib == 0 || mib > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) >> 20U) {
        throw Error(fmt::format("{} can't have a size of {} MiB", image, mib));
    }
    return static_cast<off_t>(mib << 20U);
}

void run(const Argv& argv, const std::vector<int>& inherit, std::string_view verb, const std::string& image) {
    RunOptions options;
    options.timeout = command_timeout;
    options.inherit = inherit;
    const Ran ran = run_program(argv, options);
    if (ran.timed_out) { throw Error(fmt::format("can't {} {}: {} took too long", verb, image, argv.front())); }
    if (ran.status != 0) {
        throw Error(fmt::format("can't {} {}: {} failed with status {}: {}", verb, image, argv.front(), ran.status,
                                last_words(ran)));
    }
}

/// The name under which a program that inherits the descriptor finds its file.
std::string path_of(int fd) {
    return fmt::format("/proc/self/fd/{}", fd);
}

/// Whether a process has the image: a machine (image_lock.h), or one that locks by flock.
bool is_in_use(int fd) {
    return image_use(fd).used || ::flock(fd, LOCK_EX | LOCK_NB) != 0;
}

/// A new qcow2 image holds what differs from another; those of other formats are copies.
bool lies_over_another(const VolumePlan& volume) {
    return volume.format == "qcow2" && !volume.backing.empty();
}

/// A raw image that the volume starts from, in `raw`.
void copy_raw_image(const VolumePlan& volume, int raw) {
    const Fd from(::open(volume.backing.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!from) { throw Error(fmt::format("can't open {}: {}", volume.backing, std::strerror(errno))); }
    if (image_use(from.get()).written) {
        throw Error(fmt::format("can't create {}: a running machine writes {}", volume.image, volume.backing),
                    "stop that machine first");
    }
    if (!copy_content(from.get(), raw)) {
        throw Error(fmt::format("can't copy {} to {}: {}", volume.backing, volume.image, std::strerror(errno)));
    }
}

// To be grown.
Fd open_regular(const std::string& image) {
    Fd fd(::open(image.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        throw Error(fmt::format("can't open {}: {}", image, std::strerror(errno)));
    }
    if (!S_ISREG(status.st_mode)) { throw Error(fmt::format("can't grow {}: it is not a file", image)); }
    return fd;
}

void refuse_shrinking(const std::string& image, std::uint64_t has, std::uint64_t wanted) {
    if (wanted >= has) { return; }
    throw Error(fmt::format("can't shrink {} from {} MiB to {} MiB: what lies at its end would be lost", image,
                            has >> 20U, wanted >> 20U),
                "keep the size, or make a new volume and copy the data");
}

void lengthen(int fd, const std::string& image, std::uint64_t bytes) {
    if (::ftruncate(fd, static_cast<off_t>(bytes)) == 0) { return; }
    throw Error(fmt::format("can't make {} {} MiB long: {}", image, bytes >> 20U, std::strerror(errno)));
}

void sync(int fd, const std::string& image) {
    if (::fsync(fd) != 0) { throw Error(fmt::format("can't write {}: {}", image, std::strerror(errno))); }
}

} // namespace

Argv mkfs_argv(const VolumePlan& volume, const ToolFacts& program, const std::string& image) {
    if (volume.fs_type == "none") { return {}; }
    const FileSystemInfo* file_system = find_file_system(volume.fs_type);
    if (file_system == nullptr) {
        throw Error(fmt::format("volume {}: can't make a file system of type {}", volume.name, volume.fs_type));
    }
    if (const std::string problem = label_problem(*file_system, volume.label); !problem.empty()) {
        throw Error(fmt::format("volume {}: {}", volume.name, problem));
    }
    // Not what mke2fs has words for: "random", "time" and "clear".
    if (volume.fs_type == "vfat" ? !is_fat_volume_id(volume.uuid) : !is_uuid(volume.uuid)) {
        throw Error(fmt::format("volume {}: \"{}\" is not a UUID of {}", volume.name, volume.uuid, volume.fs_type));
    }
    Argv argv = file_system->mkfs == "mke2fs"       ? mke2fs_argv(volume, program.path)
                : file_system->mkfs == "mkfs.xfs"   ? mkfs_xfs_argv(volume, program)
                : file_system->mkfs == "mkfs.btrfs" ? mkfs_btrfs_argv(volume, program.path)
                                                    : mkfs_fat_argv(volume, program.path);
    argv.push_back(image);
    argv.insert(argv.end(), volume.mkfs_args.begin(), volume.mkfs_args.end());
    return argv;
}

std::string image_driver(std::string_view format) {
    return format == "vhd" ? "vpc" : std::string(format);
}

std::vector<Argv> volume_commands(const CreateVolume& request, const std::string& raw, const std::string& image) {
    const VolumePlan& volume = request.volume;
    if (lies_over_another(volume)) {
        return {{request.qemu_img, "create", "-q", "-f", volume.format, "-F", image_driver(volume.backing_format), "-b",
                 volume.backing, image, std::to_string(volume.size_mib << 20U)}};
    }
    const bool is_raw = volume.format == "raw";
    const std::string& filled = is_raw ? image : raw;
    std::vector<Argv> commands;
    if (!volume.backing.empty() && volume.backing_format != "raw") {
        commands.push_back({request.qemu_img, "convert", "-q", "-f", image_driver(volume.backing_format), "-O", "raw",
                            volume.backing, filled});
    } else if (volume.backing.empty() && volume.fs_type != "none") {
        commands.push_back(mkfs_argv(volume, request.mkfs, filled));
    }
    if (is_raw) { return commands; }
    Argv convert{request.qemu_img, "convert", "-q", "-f", "raw", "-O", image_driver(volume.format)};
    // A VHD of the fixed kind, which all hypervisors read that read any, and which is sparse as a file. Without
    // force_size, it has the size of a geometry (qemu: block/vpc.c).
    if (volume.format == "vhd") { convert.insert(convert.end(), {"-o", "subformat=fixed,force_size=on"}); }
    convert.insert(convert.end(), {raw, image});
    commands.push_back(std::move(convert));
    return commands;
}

bool create_volume(const CreateVolume& request) {
    const VolumePlan& volume = request.volume;
    const std::string& image = volume.image;
    struct stat status {};
    if (::lstat(image.c_str(), &status) == 0) { return false; }
    const off_t size = bytes_of(volume.size_mib, image);

    NewFile file(image, 0600);
    std::optional<NewFile> scratch;
    if (volume.format != "raw" && !lies_over_another(volume)) { scratch.emplace(image + ".raw", 0600); }
    const int raw = scratch ? scratch->fd() : file.fd();
    const auto set_size = [&] {
        if (lies_over_another(volume) || ::ftruncate(raw, size) == 0) { return; }
        throw Error(fmt::format("can't make {} {} MiB long: {}", image, volume.size_mib, std::strerror(errno)));
    };
    if (volume.backing_format == "raw" && !lies_over_another(volume)) { copy_raw_image(volume, raw); }
    set_size();
    for (const Argv& argv : volume_commands(request, path_of(raw), path_of(file.fd()))) {
        run(argv, {raw, file.fd()}, "create", image);
        set_size(); // a copy has what it is a copy of
    }
    return file.publish();
}

void lengthen_raw_image(const std::string& image, std::uint64_t bytes) {
    const Fd fd = open_regular(image);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) { throw Error(fmt::format("can't read {}: {}", image, std::strerror(errno))); }
    refuse_shrinking(image, static_cast<std::uint64_t>(status.st_size), bytes);
    lengthen(fd.get(), image, bytes);
    sync(fd.get(), image);
}

void grow_volume(const GrowVolume& request) {
    const std::string& image = request.image;
    const auto wanted = static_cast<std::uint64_t>(bytes_of(request.size_mib, image));
    const Fd fd = open_regular(image);
    if (is_in_use(fd.get())) {
        throw Error(fmt::format("can't grow {}: a running machine uses it", image), "stop that machine first");
    }
    const std::optional<std::uint64_t> has = virtual_size(image, request.format);
    if (!has) { throw Error(fmt::format("can't grow {}: it is no {} image", image, request.format)); }
    refuse_shrinking(image, *has, wanted);
    if (wanted == *has) { return; }
    if (request.format != "raw") {
        run({request.qemu_img, "resize", "-q", "-f", image_driver(request.format), image, std::to_string(wanted)}, {},
            "grow", image);
    } else {
        lengthen(fd.get(), image, wanted);
    }
    sync(fd.get(), image);
}

} // namespace microvmc
