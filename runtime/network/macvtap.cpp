#include "runtime/network/macvtap.h"

#include "runtime/error.h"
#include "runtime/fd.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

// The supervisor takes its machine's macvtaps away, and has no libnl: it is one message.

namespace microvmc {

namespace {

ifreq request_for(const std::string& name) {
    ifreq request{};
    if (name.empty() || name.size() >= IFNAMSIZ) { throw Error("no interface has the name " + name); }
    std::memcpy(request.ifr_name, name.c_str(), name.size());
    return request;
}

// Macvlans and macvtaps (drivers/net/macvlan.c, macvlan_ethtool_get_drvinfo).
bool is_macvtap(const std::string& name) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ethtool_drvinfo driver{};
    driver.cmd = ETHTOOL_GDRVINFO;
    ifreq request = request_for(name);
    request.ifr_data = reinterpret_cast<char*>(&driver);
    return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0 && std::strcmp(driver.driver, "macvlan") == 0;
}

} // namespace

int open_macvtap(const std::string& name) {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) { throw Error("there is no macvtap " + name); }
    const std::string path = "/dev/tap" + std::to_string(index);
    Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) { throw Error("can't open " + path + ", the device of " + name + ": " + std::strerror(errno)); }
    ifreq request{};
    if (::ioctl(fd.get(), TUNGETIFF, &request) != 0 || name != request.ifr_name) {
        throw Error(path + " is not the device of " + name, "another network namespace may have one of that number");
    }
    return fd.release();
}

void remove_macvtap(const std::string& name) {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) { return; }
    if (!is_macvtap(name)) { throw Error("the interface " + name + " is no macvtap"); }
    struct {
        nlmsghdr header;
        ifinfomsg link;
    } request{};
    request.header.nlmsg_len = sizeof(request);
    request.header.nlmsg_type = RTM_DELLINK;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    request.link.ifi_index = static_cast<int>(index);
    struct {
        nlmsghdr header;
        nlmsgerr error;
        char rest[256];
    } answer{};
    const Fd kernel(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    const bool told = ::send(kernel.get(), &request, sizeof(request), 0) == sizeof(request) &&
                      ::recv(kernel.get(), &answer, sizeof(answer), 0) > 0;
    const int error = told ? -answer.error.error : errno;
    if (error != 0 && error != ENODEV) {
        throw Error("can't remove the macvtap " + name + ": " + std::strerror(error));
    }
}

} // namespace microvmc
