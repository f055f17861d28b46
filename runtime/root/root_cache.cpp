#include "runtime/root/root_cache.h"

#include "runtime/error.h"
#include "runtime/file_lock.h"
#include "runtime/files.h"
#include "runtime/initramfs_cache.h"
#include "runtime/observe.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kept_newest = 1; // of those that nothing uses; one may have GB
constexpr std::size_t key_digits = 64;
constexpr std::string_view place = "/cache/roots/";

bool is_image_name(const std::string& name) {
    return name.size() > key_digits && name[key_digits] == '.' &&
           name.find_first_not_of("0123456789abcdef") == key_digits;
}

// Of all projects: what runs says machine.json, what is recorded plan.json; a saved machine goes on with its own root
// only.
std::set<std::string> used_images(const Directories& directories) {
    std::set<std::string> used;
    const auto add = [&used](const fs::path& record) {
        used.merge(root_image_names(read_file(record.string()).value_or("")));
    };
    std::error_code error;
    for (const auto& project : fs::directory_iterator(directories.runtime, error)) {
        for (const auto& machine : fs::directory_iterator(project.path(), error)) {
            add(machine.path() / "machine.json");
        }
    }
    for (const std::string& project : known_projects(directories.state)) {
        const fs::path state = project_state_dir(directories.state, project);
        for (const auto& machine : fs::directory_iterator(state, error)) {
            add(machine.path() / "plan.json");
            for (const auto& snapshot : fs::directory_iterator(machine.path() / "snapshots", error)) {
                add(snapshot.path() / "snapshot.json");
            }
        }
    }
    return used;
}

} // namespace

std::set<std::string> root_image_names(std::string_view text) {
    std::set<std::string> names;
    for (std::size_t at = text.find(place); at != std::string_view::npos; at = text.find(place, at + 1)) {
        const std::string_view rest = text.substr(at + place.size());
        std::string name(rest.substr(0, rest.find('"')));
        if (is_image_name(name)) { names.insert(std::move(name)); }
    }
    return names;
}

void prune_root_cache(const Directories& directories) {
    const fs::path directory = directories.state + "/cache/roots";
    std::error_code error;
    if (!fs::exists(directory, error)) { return; }
    try {
        const FileLock alone(cache_lock_path(directories.state), std::chrono::milliseconds(0), "the caches");
        const std::set<std::string> used = used_images(directories);
        sweep_parts(directory.string());
        std::vector<std::pair<fs::file_time_type, fs::path>> unused;
        for (const auto& entry : fs::directory_iterator(directory, error)) {
            const std::string name = entry.path().filename().string();
            if (is_image_name(name) && !used.contains(name)) {
                unused.emplace_back(entry.last_write_time(error), entry.path());
            }
        }
        std::ranges::sort(unused, std::ranges::greater{});
        for (std::size_t i = kept_newest; i < unused.size(); ++i) { fs::remove(unused[i].second, error); }
    } catch (const Error&) { // somebody starts a machine, or a record can't be read: the next one prunes
    } catch (const fs::filesystem_error&) {}
}

} // namespace microvmc
