#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

void bring_loopback_up();

/// Finds the interface by its MAC (waits for it), gives it its MTU, sets it up, gives it its addresses and the default route.
Failure configure_interface(const InterfaceSettings& interface);

} // namespace microvmc::guest
