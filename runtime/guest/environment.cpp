#include "runtime/guest/environment.h"

#include <algorithm>

namespace microvmc::guest {

std::vector<std::string> merge_environment(std::vector<std::string> below, const std::vector<std::string>& above) {
    for (const auto& entry : above) {
        const std::string name = entry.substr(0, entry.find('=')) + "=";
        const auto same = std::find_if(below.begin(), below.end(), [&](const std::string& other) {
            return other.compare(0, name.size(), name) == 0;
        });
        if (same != below.end()) {
            *same = entry;
        } else {
            below.push_back(entry);
        }
    }
    return below;
}

std::vector<std::string> default_environment() {
    return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=linux"};
}

} // namespace microvmc::guest
