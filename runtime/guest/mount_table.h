#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace microvmc::guest {

struct Mount {
    std::string target;
    std::string fs_type;

    friend bool operator==(const Mount&, const Mount&) = default;
};

/// The lines of /proc/mounts in its order, octal escapes undone (proc(5), fstab(5)). Lines with too few fields are left
/// out.
std::vector<Mount> parse_mounts(std::string_view text);

/// What must be unmounted so that no data is lost, in an order that works: the newest first, kernel file systems left
/// out. The root is not among them.
std::vector<std::string> unmount_order(const std::vector<Mount>& mounts);

} // namespace microvmc::guest
