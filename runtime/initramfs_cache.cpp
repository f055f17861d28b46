#include "runtime/initramfs_cache.h"

#include "compiler/plan.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/lower.h"
#include "runtime/observe.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <vector>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kept_newest = 8; // of each kind; an image has some MB
constexpr std::chrono::seconds hold_timeout{10};
constexpr std::string_view ending = ".cpio";

std::string cache_of(const std::string& state_dir) {
    return state_dir + "/cache/initramfs";
}

bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

// Images and parts apart: "" for a machine's, "base", "modules".
std::string kind_of(const std::string& name) {
    return name.substr(0, name.find('-') == std::string::npos ? 0 : name.find('-'));
}

struct Entry {
    std::string name;
    fs::file_time_type made;
};

std::map<std::string, std::vector<Entry>> images_in(const std::string& directory) {
    std::map<std::string, std::vector<Entry>> kinds;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory, error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with('.') || !name.ends_with(ending)) { continue; }
        kinds[kind_of(name)].push_back({name, entry.last_write_time(error)});
    }
    return kinds;
}

// The image of a recorded machine; nothing when the record can't be made out: starting it makes the image again.
std::set<std::string> recorded(const std::string& record, const HostFacts& facts) {
    try {
        const auto text = read_file(record);
        if (!text) { return {}; }
        const VmPlan vm = nlohmann::json::parse(*text).get<VmPlan>();
        return {fs::path(initramfs_path(vm, facts)).filename().string()};
    } catch (const Error&) { return {}; } catch (const nlohmann::json::exception&) {
        return {};
    }
}

} // namespace

std::string cache_lock_path(const std::string& state_dir) {
    make_directories(state_dir + "/cache", 0700);
    return state_dir + "/cache/.initramfs.lock";
}

FileLock hold_initramfs_cache(const std::string& state_dir) {
    return {cache_lock_path(state_dir), hold_timeout, "the cache of initramfs images", FileLock::Kind::shared};
}

std::set<std::string> initramfs_names(std::string_view text) {
    std::set<std::string> names;
    for (std::size_t at = text.find(ending); at != std::string_view::npos; at = text.find(ending, at + 1)) {
        std::size_t begin = at;
        while (begin > 0 && is_hex(text[begin - 1])) { --begin; }
        if (begin < at) { names.insert(std::string(text.substr(begin, at - begin)).append(ending)); }
    }
    return names;
}

std::set<std::string> used_initramfs(const Directories& directories, const HostFacts& facts) {
    std::set<std::string> used;
    std::error_code error;
    for (const auto& project : fs::directory_iterator(directories.runtime, error)) {
        for (const auto& machine : fs::directory_iterator(project.path(), error)) {
            used.merge(initramfs_names(read_file((machine.path() / "machine.json").string()).value_or("")));
        }
    }
    for (const std::string& project : known_projects(directories.state)) {
        const std::string state = project_state_dir(directories.state, project);
        for (const std::string& vm : observed_names(directories.state, directories.runtime, project)) {
            used.merge(recorded(fmt::format("{}/{}/plan.json", state, vm), facts));
        }
    }
    return used;
}

void prune_initramfs_cache(const std::string& state_dir, const std::function<std::set<std::string>()>& used,
                           std::size_t newest) {
    const std::string directory = cache_of(state_dir);
    std::error_code error;
    try {
        const FileLock alone(cache_lock_path(state_dir), std::chrono::milliseconds(0), "the cache of initramfs images");
        const std::set<std::string> needed = used();
        sweep_parts(directory);
        for (auto& [kind, entries] : images_in(directory)) {
            std::ranges::sort(entries, std::ranges::greater{}, &Entry::made);
            for (std::size_t i = newest; i < entries.size(); ++i) {
                const fs::path path = fs::path(directory) / entries[i].name;
                if (needed.contains(entries[i].name)) { continue; }
                fs::remove(path, error);
                // An archive of modules says that its order is there, too: it goes first.
                fs::remove(fs::path(path).replace_extension(".order"), error);
            }
        }
    } catch (const TimeoutError&) {} // somebody starts a machine
}

void prune_initramfs_cache(const Directories& directories, const HostFacts& facts) {
    const auto kinds = images_in(cache_of(directories.state));
    if (std::ranges::none_of(kinds, [](const auto& kind) { return kind.second.size() > kept_newest; })) { return; }
    try {
        prune_initramfs_cache(
            directories.state, [&] { return used_initramfs(directories, facts); }, kept_newest);
    } catch (const Error&) { // what was asked for is done; the next one prunes
    } catch (const fs::filesystem_error&) {}
}

} // namespace microvmc
