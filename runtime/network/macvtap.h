#pragma once

#include <string>

namespace microvmc {

/// Opens a queue of the macvtap's device (linux: drivers/net/macvtap.c). Throws Error when there is no such macvtap, or
/// it may not be opened. The caller closes it.
int open_macvtap(const std::string& name);

/// Takes a macvtap away; nothing there is fine. Throws Error when the name is something else's.
void remove_macvtap(const std::string& name);

} // namespace microvmc
