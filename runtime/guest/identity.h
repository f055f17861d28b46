#pragma once

#include "runtime/guest/settings.h"

namespace microvmc::guest {

/// Host name, machine-id and name servers, in the kernel and in /etc, where the root's own programs look. A file that
/// can't be written, because the root is read-only, is covered by one in memory, if there is one to cover.
void set_identity(const Settings& settings);

} // namespace microvmc::guest
