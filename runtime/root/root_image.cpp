#include "runtime/root/root_image.h"

#include "compiler/identity.h"
#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/files.h"
#include "runtime/root/directory_source.h"
#include "runtime/root/erofs_writer.h"
#include "runtime/root/oci_image.h"
#include "runtime/root/root_builder.h"
#include "runtime/root/squashfs_writer.h"
#include "runtime/root/tar_source.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace microvmc {

namespace {

std::uint64_t room_in(const std::string& directory) {
    struct statvfs status {};
    if (::statvfs(directory.c_str(), &status) != 0) { return std::numeric_limits<std::int64_t>::max(); }
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

/// The bytes of a UUID as RFC 9562 writes it.
std::array<std::uint8_t, 16> uuid_bytes(const std::string& text) {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t digits = 0;
    for (const char c : text) {
        if (c == '-' || digits == 32) { continue; }
        const int value = c >= 'a' ? c - 'a' + 10 : c - '0';
        bytes[digits / 2] = static_cast<std::uint8_t>(bytes[digits / 2] << 4U | (value & 15));
        ++digits;
    }
    return bytes;
}

/// What was read is what the image is named by: a plan's root, and not another one.
void check_unchanged(const BuildRoot& request) {
    const std::string key = root_key(request.kind, request.fs_type, request.arch, source_identity(request.source));
    if (std::filesystem::path(request.output).stem() != key) {
        throw Error("it has changed since it was planned, or while it was read", "plan and apply again");
    }
}

void read_source(const BuildRoot& request, RootBuilder& root, const RootProgress& progress) {
    std::uint64_t total = 0;
    std::uint64_t told = 0;
    const BytesRead told_bytes = [&](std::uint64_t bytes) {
        if (progress && bytes >> 20U != told) { progress(told = bytes >> 20U, total); }
    };
    switch (request.kind) {
    case RootPlan::Kind::dir: read_directory(request.source, root, told_bytes); return;
    case RootPlan::Kind::tar: {
        const Fd archive(::open(request.source.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat status {};
        if (!archive || ::fstat(archive.get(), &status) != 0) { throw Error(std::strerror(errno)); }
        total = static_cast<std::uint64_t>(status.st_size) >> 20U;
        read_tar({archive.get(), 0, static_cast<std::uint64_t>(status.st_size)}, Layered::no, root, told_bytes);
        return;
    }
    case RootPlan::Kind::oci: {
        const OciImage image(request.source, request.arch);
        total = image.layer_bytes() >> 20U;
        image.read_layers(root, told_bytes);
        return;
    }
    case RootPlan::Kind::initramfs:
    case RootPlan::Kind::share:
    case RootPlan::Kind::image:
    case RootPlan::Kind::store: throw Error("no image is made of such a root");
    }
}

} // namespace

bool build_root(const BuildRoot& request, const RootProgress& progress) {
    struct stat status {};
    if (::lstat(request.output.c_str(), &status) == 0) { return false; }
    NewFile image(request.output, 0600);
    const std::uint64_t room = room_in(std::filesystem::path(request.output).parent_path().string());
    try {
        const std::unique_ptr<ImageWriter> writer = request.fs_type == "squashfs"
                                                        ? make_squashfs_writer(image.fd(), room)
                                                        : make_erofs_writer(image.fd(), room, uuid_bytes(request.uuid));
        RootBuilder root(*writer);
        read_source(request, root, progress);
        root.finish();
        check_unchanged(request);
    } catch (const Error& error) {
        throw Error(fmt::format("can't make a root of {}: {}", printable(request.source), error.what()), error.help);
    }
    return image.publish();
}

} // namespace microvmc
