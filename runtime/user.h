#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace microvmc {

/// A user of the host.
struct User {
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups; ///< all of them, `gid` first
};

/// By name, as the host's name services have it (getpwnam(3), getgrouplist(3)); nothing: there is none.
std::optional<User> find_account(const std::string& name);

} // namespace microvmc
