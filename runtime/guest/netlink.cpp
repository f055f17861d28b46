#include "runtime/guest/netlink.h"

#include "runtime/guest/system.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace microvmc::guest {

namespace {

// One request: header, the kind's own struct, attributes (rtnetlink(7)).
class Request {
public:
    template <typename Body> Request(std::uint16_t type, std::uint16_t flags, const Body& body) {
        header_.nlmsg_type = type;
        header_.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
        body_.assign(reinterpret_cast<const char*>(&body), sizeof body);
        pad();
    }

    void add(std::uint16_t type, const void* data, std::size_t size) {
        const rtattr attribute{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
        body_.append(reinterpret_cast<const char*>(&attribute), sizeof attribute);
        body_.append(static_cast<const char*>(data), size);
        pad();
    }

    /// 0, or the errno that the kernel answers.
    int send() {
        header_.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + body_.size());
        std::string message(reinterpret_cast<const char*>(&header_), sizeof header_);
        message.append(body_);
        const Fd kernel(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
        if (!kernel.open() || ::send(kernel.get(), message.data(), message.size(), 0) < 0) { return errno; }
        struct {
            nlmsghdr header;
            nlmsgerr error;
            char request[512];
        } answer{};
        const ssize_t got = ::recv(kernel.get(), &answer, sizeof answer, 0);
        if (got < 0) { return errno; }
        if (answer.header.nlmsg_type != NLMSG_ERROR) { return EPROTO; }
        return -answer.error.error;
    }

private:
    void pad() { body_.append(NLMSG_ALIGN(body_.size()) - body_.size(), '\0'); }

    nlmsghdr header_{};
    std::string body_;
};

} // namespace

Failure add_address(unsigned interface, const Address& address) {
    ifaddrmsg body{};
    body.ifa_family = static_cast<std::uint8_t>(address.family);
    body.ifa_prefixlen = static_cast<std::uint8_t>(address.prefix);
    body.ifa_index = interface;
    // The plan has checked for duplicates; detecting them again would keep the address unusable for a second.
    body.ifa_flags = address.family == AF_INET6 ? IFA_F_NODAD : 0;
    Request request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
    request.add(IFA_LOCAL, address.bytes.data(), address.size());
    request.add(IFA_ADDRESS, address.bytes.data(), address.size());
    if (address.family == AF_INET && address.prefix < 31) {
        auto broadcast = address.bytes;
        for (unsigned bit = address.prefix; bit < 32; ++bit) {
            broadcast[bit / 8] = static_cast<std::uint8_t>(broadcast[bit / 8] | (0x80U >> (bit % 8)));
        }
        request.add(IFA_BROADCAST, broadcast.data(), address.size());
    }
    const int error_number = request.send();
    if (error_number != 0 && error_number != EEXIST) { return with_errno({"cannot add an address"}, error_number); }
    return std::nullopt;
}

Failure add_default_route(unsigned interface, const Address& gateway) {
    rtmsg body{};
    body.rtm_family = static_cast<std::uint8_t>(gateway.family);
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_protocol = RTPROT_STATIC;
    body.rtm_scope = RT_SCOPE_UNIVERSE;
    body.rtm_type = RTN_UNICAST;
    body.rtm_flags = RTNH_F_ONLINK; // a gateway outside of every prefix is reachable all the same
    Request request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body);
    request.add(RTA_GATEWAY, gateway.bytes.data(), gateway.size());
    request.add(RTA_OIF, &interface, sizeof interface);
    const int error_number = request.send();
    if (error_number != 0 && error_number != EEXIST) { return with_errno({"cannot add the route"}, error_number); }
    return std::nullopt;
}

} // namespace microvmc::guest
