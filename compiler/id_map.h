#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace microvmc {

/// A range of user or group ids of the guest that stands for one of the host.
struct IdRange {
    std::uint32_t guest = 0;
    std::uint32_t host = 0;
    std::uint32_t count = 1;
    bool all = false; ///< every id of the guest is `host`, whose files belong to the guest's root

    friend bool operator==(const IdRange&, const IdRange&) = default;
};

/// "0:1000:1, 1:100000:65535" or "*:1000". Nothing when it is anything else, or a range goes beyond what ids there are.
std::optional<std::vector<IdRange>> parse_id_map(std::string_view text);

} // namespace microvmc
