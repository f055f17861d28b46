#include "runtime/supervisor/images.h"

#include "runtime/error.h"
#include "runtime/image_lock.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>

namespace microvmc::supervisor {

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

} // namespace microvmc::supervisor
