#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Gives the interface with this kernel index an address. One that it has already is fine.
Failure add_address(unsigned interface, const Address& address);

/// The default route of the gateway's family through the interface. One that is there already is fine.
Failure add_default_route(unsigned interface, const Address& gateway);

} // namespace microvmc::guest
