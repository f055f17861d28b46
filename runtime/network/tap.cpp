#include "runtime/network/tap.h"

#include "runtime/error.h"
#include "runtime/fd.h"
#include "runtime/network/macvtap.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

namespace microvmc {

namespace {

Fd open_tun() {
    Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!fd) {
        throw Error(std::string("can't open /dev/net/tun: ") + std::strerror(errno),
                    "taps need root and the kernel's tun module; interfaces of type user need neither");
    }
    return fd;
}

ifreq request_for(const Tap& tap, int more_flags) {
    if (tap.name.empty() || tap.name.size() >= IFNAMSIZ) {
        throw Error("the tap's name " + tap.name + " is empty or longer than 15 bytes");
    }
    ifreq request{};
    std::memcpy(request.ifr_name, tap.name.c_str(), tap.name.size());
    const int queues = tap.queues > 1 ? IFF_MULTI_QUEUE : 0;
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | queues | more_flags);
    return request;
}

} // namespace

void make_tap(const Tap& tap, uid_t owner) {
    const Fd fd = open_tun();
    ifreq request = request_for(tap, IFF_TUN_EXCL);
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
        if (errno == EBUSY) { throw Error("there is an interface " + tap.name + " already, which is not ours"); }
        throw Error("can't make the tap " + tap.name + ": " + std::strerror(errno));
    }
    if (::ioctl(fd.get(), TUNSETOWNER, static_cast<unsigned long>(owner)) != 0 ||
        ::ioctl(fd.get(), TUNSETPERSIST, 1UL) != 0) {
        throw Error("can't keep the tap " + tap.name + ": " + std::strerror(errno));
    }
}

void remove_tap(const Tap& tap) {
    if (!tap.link.empty()) { return remove_macvtap(tap.name); }
    const Fd fd = open_tun();
    // One that isn't there is made by this, and goes with the descriptor.
    ifreq request = request_for(tap, 0);
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0 || ::ioctl(fd.get(), TUNSETPERSIST, 0UL) != 0) {
        throw Error("can't remove the tap " + tap.name + ": " + std::strerror(errno));
    }
}

} // namespace microvmc
