#include "runtime/guest/network.h"

#include "runtime/guest/netlink.h"
#include "runtime/guest/system.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace microvmc::guest {

namespace {

ifreq request_for(const std::string& name) {
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
    return request;
}

Failure set_up(const std::string& name) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = request_for(name);
    if (socket.open() && ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
        if (ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0) { return std::nullopt; }
    }
    return with_errno({"cannot set the interface ", name, " up"}, errno);
}

Failure set_mtu(const std::string& name, std::uint16_t mtu) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request = request_for(name);
    request.ifr_mtu = mtu;
    if (socket.open() && ioctl(socket.get(), SIOCSIFMTU, &request) == 0) { return std::nullopt; }
    return with_errno({"cannot set the MTU of the interface ", name}, errno);
}

constexpr const char* interfaces_directory = "/sys/class/net";

std::string find_by_mac(const std::string& mac) {
    for (const auto& name : list_directory(interfaces_directory)) {
        const auto address = read_file(concat({interfaces_directory, "/", name, "/address"}), 64);
        if (address && trim(*address) == mac) { return name; }
    }
    return {};
}

} // namespace

void bring_loopback_up() {
    set_up("lo");
}

Failure configure_interface(const InterfaceSettings& interface) {
    std::string name;
    const bool found = wait_for(device_wait_ms, [&] {
        name = find_by_mac(interface.mac);
        return !name.empty();
    });
    if (!found) { return concat({"no network interface with the MAC ", interface.mac, " appeared"}); }
    if (interface.mtu != 0) {
        if (auto failure = set_mtu(name, interface.mtu)) { return failure; }
    }
    if (auto failure = set_up(name)) { return failure; }
    const unsigned index = if_nametoindex(name.c_str());
    for (const auto& address : interface.addresses) {
        if (auto failure = add_address(index, address)) {
            return concat({"interface ", interface.mac, " (", name, "): ", *failure});
        }
    }
    if (interface.gateway) {
        if (auto failure = add_default_route(index, *interface.gateway)) {
            return concat({"interface ", interface.mac, " (", name, "): ", *failure});
        }
    }
    return std::nullopt;
}

} // namespace microvmc::guest
