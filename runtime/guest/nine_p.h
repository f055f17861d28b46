#pragma once

#include "runtime/guest/text.h"

#include <string>
#include <string_view>

namespace microvmc::guest {

/// Mounts the 9p share `tag` of the hypervisor (kernel: Documentation/filesystems/9p.rst). Waits for its device.
/// Options are mount(8)'s.
Failure mount_9p(const std::string& tag, const std::string& target, std::string_view options);

} // namespace microvmc::guest
