#include "runtime/commands/snapshots.h"

#include "compiler/text.h"
#include "runtime/error.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <sys/stat.h>

namespace microvmc {

namespace fs = std::filesystem;

Snapshot find_snapshot(const std::string& state_dir, const std::string& name) {
    const std::vector<Snapshot> snapshots = list_snapshots(state_dir);
    const std::string vm = fs::path(state_dir).filename().string();
    if (snapshots.empty()) {
        throw Error(fmt::format("{} has no snapshots", vm), fmt::format("microvmc snapshot {} takes one", vm));
    }
    if (name.empty()) { return snapshots.front(); }
    const auto found = std::ranges::find(snapshots, name, snapshot_name);
    if (found != snapshots.end()) { return *found; }
    std::vector<std::string> names;
    for (const Snapshot& snapshot : snapshots) { names.push_back(snapshot_name(snapshot)); }
    throw Error(fmt::format("{} has no snapshot {}", vm, printable(name)),
                fmt::format("it has {}", fmt::join(names, ", ")));
}

std::string snapshot_name(const Snapshot& snapshot) {
    return fs::path(snapshot.directory).filename().string();
}

std::string time_text(std::int64_t unix_seconds) {
    const std::time_t time = unix_seconds;
    std::tm local{};
    ::localtime_r(&time, &local);
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string used_text(const std::string& directory) {
    std::uint64_t bytes = 0;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(directory, error)) {
        struct stat status {};
        if (::lstat(entry.path().c_str(), &status) == 0) {
            bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
        }
    }
    return format_size((bytes >> 20U) + 1);
}

} // namespace microvmc
