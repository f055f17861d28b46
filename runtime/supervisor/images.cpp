#include "runtime/supervisor/images.h"

#include "runtime/error.h"
#include "runtime/image_lock.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace microvmc::supervisor {

namespace {

using namespace std::string_view_literals;

struct Beginning {
    std::string_view bytes;
    std::string_view format;
};
/// What some VMM knows an image by (qemu: docs/interop/qcow2.txt; crosvm: disk/src/composite.rs, android_sparse.rs).
constexpr std::array beginnings{
    Beginning{"QFI\xfb"sv, "qcow2"},
    Beginning{"composite_disk\x1d"sv, "composite disk"},
    Beginning{"\x3a\xff\x26\xed"sv, "Android sparse"},
    Beginning{"\x28\xb5\x2f\xfd"sv, "zstd"},
};

} // namespace

std::vector<Fd> lock_images(const std::vector<Launch::Image>& images) {
    std::vector<Fd> locked;
    for (const Launch::Image& image : images) {
        const int access = image.read_only ? O_RDONLY : O_RDWR;
        Fd fd(::open(image.path.c_str(), access | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (!fd) { throw Error("can't open the image " + image.path + ": " + std::strerror(errno)); }
        try {
            if (!lock_image(fd.get(), image.read_only ? ImageAccess::read : ImageAccess::write)) {
                throw Error(image.read_only ? "another machine writes it" : "another machine uses it");
            }
        } catch (const Error& error) { throw Error("the image " + image.path + ": " + error.what()); }
        locked.push_back(std::move(fd));
    }
    return locked;
}

void refuse_disguised(const std::vector<std::string>& raw_images) {
    for (const std::string& path : raw_images) {
        const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        std::array<char, 16> buffer{};
        const ssize_t got = fd ? ::pread(fd.get(), buffer.data(), buffer.size(), 0) : -1;
        if (got < 0) { throw Error("can't read the image " + path + ": " + std::strerror(errno)); }
        const std::string_view first(buffer.data(), static_cast<std::size_t>(got));
        const auto* found = std::ranges::find_if(
            beginnings, [first](const Beginning& beginning) { return first.starts_with(beginning.bytes); });
        if (found == beginnings.end()) { continue; }
        throw Error("the image " + path + " is a raw one, but begins as a " + std::string(found->format) +
                    " image does: it would be taken for one");
    }
}

} // namespace microvmc::supervisor
