#include "runtime/network/links.h"

#include "runtime/error.h"

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/macvtap.h>

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <memory>

namespace microvmc {

namespace {

template <auto Free> struct Freed {
    template <typename T> void operator()(T* object) const { Free(object); }
};
using Socket = std::unique_ptr<nl_sock, Freed<nl_socket_free>>;
using Links = std::unique_ptr<nl_cache, Freed<nl_cache_free>>;
using LinkPtr = std::unique_ptr<rtnl_link, Freed<rtnl_link_put>>;
using NetAddress = std::unique_ptr<nl_addr, Freed<nl_addr_put>>;
using LinkAddress = std::unique_ptr<rtnl_addr, Freed<rtnl_addr_put>>;

void check(int error, const std::string& what) {
    if (error >= 0) { return; }
    const bool denied = error == -NLE_PERM || error == -NLE_NOACCESS;
    throw Error(what + ": " + nl_geterror(error), denied ? "the host's interfaces are root's to change" : "");
}

Socket connect() {
    Socket socket(nl_socket_alloc());
    if (!socket) { throw Error("no memory for a netlink socket"); }
    check(nl_connect(socket.get(), NETLINK_ROUTE), "can't talk to the kernel about interfaces");
    return socket;
}

LinkPtr get(const Socket& socket, const std::string& name) {
    rtnl_link* link = nullptr;
    const int error = rtnl_link_get_kernel(socket.get(), 0, name.c_str(), &link);
    if (error == -NLE_NODEV || error == -NLE_OBJ_NOTFOUND) { return nullptr; }
    check(error, "can't look up the interface " + name);
    return LinkPtr(link);
}

LinkPtr need(const Socket& socket, const std::string& name) {
    LinkPtr link = get(socket, name);
    if (!link) { throw Error("there is no interface " + name); }
    return link;
}

LinkPtr allocate() {
    LinkPtr link(rtnl_link_alloc());
    if (!link) { throw Error("no memory for an interface"); }
    return link;
}

std::string text(const char* chars) {
    return chars == nullptr ? std::string{} : chars;
}

Links all_links(const Socket& socket) {
    nl_cache* cache = nullptr;
    check(rtnl_link_alloc_cache(socket.get(), AF_UNSPEC, &cache), "can't list the interfaces");
    return Links(cache);
}

template <typename Use> void each(const Links& links, Use use) {
    for (nl_object* object = nl_cache_get_first(links.get()); object != nullptr; object = nl_cache_get_next(object)) {
        use(reinterpret_cast<rtnl_link*>(object)); // the first member of each of libnl's objects
    }
}

void refuse_strangers(rtnl_link* link, const std::string& alias) {
    const std::string its = text(rtnl_link_get_ifalias(link));
    if (its == alias) { return; }
    throw Error("the interface " + text(rtnl_link_get_name(link)) + " is not ours" +
                    (its.empty() ? std::string{} : ": it belongs to " + its),
                "give ours another name, or remove that one");
}

} // namespace

std::optional<Link> find_link(const std::string& name) {
    const Socket socket = connect();
    const LinkPtr link = get(socket, name);
    if (!link) { return std::nullopt; }
    Link found{name, text(rtnl_link_get_ifalias(link.get())), text(rtnl_link_get_type(link.get())), {}};
    if (const int master = rtnl_link_get_master(link.get()); master != 0) {
        const Links links = all_links(socket);
        const LinkPtr bridge(rtnl_link_get(links.get(), master));
        if (bridge) { found.bridge = text(rtnl_link_get_name(bridge.get())); }
    }
    return found;
}

std::vector<Link> links_of(const std::string& alias_prefix) {
    std::vector<Link> found;
    each(all_links(connect()), [&](rtnl_link* link) {
        const std::string alias = text(rtnl_link_get_ifalias(link));
        if (!alias.starts_with(alias_prefix)) { return; }
        found.push_back({text(rtnl_link_get_name(link)), alias, text(rtnl_link_get_type(link)), {}});
    });
    return found;
}

bool make_bridge(const std::string& name, const std::string& alias, std::uint32_t mtu) {
    const Socket socket = connect();
    bool made = false;
    if (const LinkPtr there = get(socket, name)) {
        refuse_strangers(there.get(), alias);
    } else {
        const LinkPtr bridge = allocate();
        rtnl_link_set_name(bridge.get(), name.c_str());
        check(rtnl_link_set_type(bridge.get(), "bridge"), "can't make a bridge");
        check(rtnl_link_add(socket.get(), bridge.get(), NLM_F_CREATE | NLM_F_EXCL), "can't make the bridge " + name);
        made = true;
    }
    const LinkPtr bridge = need(socket, name);
    const LinkPtr change = allocate();
    rtnl_link_set_ifalias(change.get(), alias.c_str());
    if (mtu != 0) { rtnl_link_set_mtu(change.get(), mtu); }
    rtnl_link_set_flags(change.get(), IFF_UP);
    const int error = rtnl_link_change(socket.get(), bridge.get(), change.get(), 0);
    if (error < 0 && made) { rtnl_link_delete(socket.get(), bridge.get()); }
    check(error, "can't bring up the bridge " + name);
    return made;
}

void make_macvtap(const std::string& name, const std::string& link, const std::string& mode, const std::string& mac) {
    const Socket socket = connect();
    const LinkPtr lower = need(socket, link);
    if (get(socket, name)) { throw Error("there is an interface " + name + " already, which is not ours"); }
    const LinkPtr macvtap(rtnl_link_macvtap_alloc());
    if (!macvtap) { throw Error("no memory for an interface"); }
    nl_addr* parsed = nullptr;
    check(nl_addr_parse(mac.c_str(), AF_LLC, &parsed), mac + " is no hardware address");
    const NetAddress address(parsed);
    rtnl_link_set_name(macvtap.get(), name.c_str());
    rtnl_link_set_link(macvtap.get(), rtnl_link_get_ifindex(lower.get()));
    rtnl_link_set_addr(macvtap.get(), address.get());
    check(
        rtnl_link_macvtap_set_mode(macvtap.get(), static_cast<std::uint32_t>(rtnl_link_macvtap_str2mode(mode.c_str()))),
        "no macvtap has the mode " + mode);
    check(rtnl_link_add(socket.get(), macvtap.get(), NLM_F_CREATE | NLM_F_EXCL),
          "can't make the macvtap " + name + " on " + link);
}

void add_addresses(const std::string& name, const std::vector<std::string>& addresses) {
    const Socket socket = connect();
    const LinkPtr link = need(socket, name);
    for (const std::string& said : addresses) {
        nl_addr* parsed = nullptr;
        check(nl_addr_parse(said.c_str(), AF_UNSPEC, &parsed), said + " is no address");
        const NetAddress local(parsed);
        const LinkAddress address(rtnl_addr_alloc());
        rtnl_addr_set_ifindex(address.get(), rtnl_link_get_ifindex(link.get()));
        check(rtnl_addr_set_local(address.get(), local.get()), said + " can't be set");
        // Nobody else has it: the network is ours. Detecting duplicates would keep it unusable for a second.
        if (nl_addr_get_family(local.get()) == AF_INET6) { rtnl_addr_set_flags(address.get(), IFA_F_NODAD); }
        const int error = rtnl_addr_add(socket.get(), address.get(), 0);
        if (error != -NLE_EXIST) { check(error, "can't give " + name + " the address " + said); }
    }
}

void adopt_port(const std::string& name, const std::string& alias, const std::string& bridge, std::uint32_t mtu) {
    const Socket socket = connect();
    const LinkPtr link = need(socket, name);
    const LinkPtr change = allocate();
    rtnl_link_set_ifalias(change.get(), alias.c_str());
    if (mtu != 0) { rtnl_link_set_mtu(change.get(), mtu); }
    if (!bridge.empty()) {
        const LinkPtr master = need(socket, bridge);
        if (text(rtnl_link_get_type(master.get())) != "bridge") { throw Error(bridge + " is no bridge"); }
        rtnl_link_set_master(change.get(), rtnl_link_get_ifindex(master.get()));
    }
    rtnl_link_set_flags(change.get(), IFF_UP);
    check(rtnl_link_change(socket.get(), link.get(), change.get(), 0), "can't bring up the interface " + name);
}

std::size_t count_ports(const std::string& bridge) {
    const Socket socket = connect();
    const LinkPtr link = get(socket, bridge);
    if (!link) { return 0; }
    const int index = rtnl_link_get_ifindex(link.get());
    std::size_t ports = 0;
    each(all_links(socket), [&](rtnl_link* each_link) { ports += rtnl_link_get_master(each_link) == index ? 1 : 0; });
    return ports;
}

bool remove_link(const std::string& name, const std::string& alias) {
    const Socket socket = connect();
    const LinkPtr link = get(socket, name);
    if (!link) { return false; }
    refuse_strangers(link.get(), alias);
    const int error = rtnl_link_delete(socket.get(), link.get());
    if (error == -NLE_NODEV || error == -NLE_OBJ_NOTFOUND) { return false; }
    check(error, "can't remove the interface " + name);
    return true;
}

} // namespace microvmc
