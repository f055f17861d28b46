#pragma once

#include <string>
#include <string_view>

namespace microvmc::guest {

struct MountOptions {
    unsigned long flags = 0; ///< MS_*
    std::string data;        ///< what the file system itself understands, comma-separated

    friend bool operator==(const MountOptions&, const MountOptions&) = default;
};

/// What mount(8) makes of a comma-separated option list: its own words become flags, the rest stays data. Later words
/// win.
MountOptions parse_mount_options(std::string_view text);

} // namespace microvmc::guest
