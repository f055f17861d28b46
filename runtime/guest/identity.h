#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Sets the host name, and writes /etc/resolv.conf when there are name servers, the file can be written and is nobody's
/// symbolic link. In the initramfs userland, which has none of its own, also /etc/hostname and /etc/hosts.
void set_identity(const Settings& settings);

} // namespace microvmc::guest
