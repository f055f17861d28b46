#include "runtime/guest/mount_table.h"

#include "runtime/guest/text.h"

#include <algorithm>

namespace microvmc::guest {

namespace {

bool is_octal(char c) {
    return c >= '0' && c <= '7';
}

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
            is_octal(text[i + 3])) {
            out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
            i += 3;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

// They hold nothing that outlives the machine.
constexpr std::string_view kernel_file_systems[] = {
    "rootfs", "proc",     "sysfs",  "devtmpfs", "devpts",     "tmpfs",     "ramfs",
    "cgroup", "cgroup2",  "mqueue", "debugfs",  "securityfs", "hugetlbfs", "tracefs",
    "bpf",    "efivarfs", "pstore", "configfs", "autofs",     "fusectl",   "binfmt_misc",
};

} // namespace

std::vector<Mount> parse_mounts(std::string_view text) {
    std::vector<Mount> mounts;
    for (const auto line : split(text, '\n')) {
        const auto fields = split(line, ' ');
        if (fields.size() < 3) { continue; }
        mounts.push_back({unescape(fields[1]), std::string(fields[2])});
    }
    return mounts;
}

std::vector<std::string> unmount_order(const std::vector<Mount>& mounts) {
    std::vector<std::string> targets;
    for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
        const bool of_kernel = std::find(std::begin(kernel_file_systems), std::end(kernel_file_systems),
                                         mount->fs_type) != std::end(kernel_file_systems);
        if (!of_kernel && mount->target != "/") { targets.push_back(mount->target); }
    }
    return targets;
}

} // namespace microvmc::guest
