#pragma once

#include "runtime/action.h"
#include "runtime/host.h"

namespace microvmc {

/// Makes a read-only image of a root's source under its name, all at once: whoever is killed meanwhile leaves none.
/// False when it is there. The same source makes the same bytes, whoever makes it: what needs no privilege in an image
/// (owners, devices, setuid) needs none here. Takes at most 256 MiB of memory. Throws Error for a source that can't be
/// read or is no file system's, and when there isn't room.
bool build_root(const BuildRoot& request, const RootProgress& progress);

} // namespace microvmc
