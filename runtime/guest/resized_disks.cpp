#include "runtime/guest/resized_disks.h"

#include <linux/netlink.h>
#include <sys/socket.h>

namespace microvmc::guest {

Fd open_device_events() {
    Fd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1; // the kernel's own
    if (socket.open() && bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        socket.reset();
    }
    return socket;
}

std::vector<std::string> read_resized_disks(int socket) {
    std::vector<std::string> disks;
    char buffer[8192];
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    ssize_t count = 0;
    while ((count = recvfrom(socket, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size)) > 0) {
        size = sizeof from;
        if (from.nl_pid != 0) { continue; } // another process of the guest
        std::string disk = resized_disk({buffer, static_cast<std::size_t>(count)});
        if (!disk.empty()) { disks.push_back(std::move(disk)); }
    }
    return disks;
}

std::string resized_disk(std::string_view message) {
    constexpr std::string_view name_key = "DEVNAME=";
    bool resized = false;
    bool block = false;
    std::string_view name;
    for (const auto line : split(message, '\0')) {
        resized = resized || line == "RESIZE=1";
        block = block || line == "SUBSYSTEM=block";
        if (line.substr(0, name_key.size()) == name_key) { name = line.substr(name_key.size()); }
    }
    return resized && block ? std::string(name) : std::string();
}

} // namespace microvmc::guest
