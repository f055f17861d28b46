#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace microvmc {

/// A tap that outlives the process that made it (linux: Documentation/networking/tuntap.rst). Every opener must know
/// whether it has several queues.
struct Tap {
    std::string name;
    std::uint32_t queues = 1;
    std::string link{}; ///< a macvtap on this interface of the host; empty: a tap

    friend bool operator==(const Tap&, const Tap&) = default;
};

/// Makes it; `owner` may open it without privileges. Throws Error when there is an interface of that name, or it is not
/// allowed (CAP_NET_ADMIN).
void make_tap(const Tap& tap, uid_t owner);

/// Takes it away; nothing there is fine. Throws Error when a process still has it open, or the name is something
/// else's.
void remove_tap(const Tap& tap);

} // namespace microvmc
