#pragma once

#include <string>

namespace microvmc::boot {

/// A tar archive of a small Debian with systemd, nginx and PostgreSQL, made by mmdebstrap when it is first asked for,
/// and kept in the build directory; MICROVMC_DEBIAN_ROOT names one that is there. Empty when it can't be made:
/// `why_not` says why.
std::string debian_root(std::string& why_not);

} // namespace microvmc::boot
