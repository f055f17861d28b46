#include "runtime/user.h"

#include <algorithm>
#include <cerrno>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace microvmc {

std::optional<User> find_account(const std::string& name) {
    passwd entry{};
    passwd* found = nullptr;
    std::vector<char> buffer(1024);
    while (::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE) {
        buffer.resize(buffer.size() * 2);
    }
    if (found == nullptr) { return std::nullopt; }
    User user{.uid = entry.pw_uid, .gid = entry.pw_gid, .groups = std::vector<gid_t>(16)};
    int count = static_cast<int>(user.groups.size());
    if (::getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0) {
        user.groups.resize(static_cast<std::size_t>(count)); // says how many there are
        ::getgrouplist(name.c_str(), user.gid, user.groups.data(), &count);
    }
    user.groups.resize(static_cast<std::size_t>(count));
    std::stable_partition(user.groups.begin(), user.groups.end(), [&user](gid_t each) { return each == user.gid; });
    return user;
}

} // namespace microvmc
