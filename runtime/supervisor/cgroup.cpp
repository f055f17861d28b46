#include "runtime/supervisor/cgroup.h"

#include "runtime/error.h"
#include "runtime/guest/wire.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sys/sysmacros.h>
#include <vector>

namespace microvmc::supervisor {

namespace {

std::string read_text(const char* path) {
    const Fd fd(::open(path, O_RDONLY | O_CLOEXEC));
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; fd && (count = ::read(fd.get(), buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    return parts;
}

std::vector<std::string_view> split(std::string&&, char) = delete; // the parts would be of what is gone

// The words of a file's first line, if it has any.
std::vector<std::string> words_in(const std::string& path) {
    const std::string text = read_text(path.c_str());
    const auto words = split(std::string_view(text).substr(0, text.find('\n')), ' ');
    return {words.begin(), words.end()};
}

// Our own cgroup and those above it, up to the root of what is mounted.
std::vector<std::string> bases() {
    const std::string mounts = read_text("/proc/self/mountinfo");
    const auto own = own_cgroup(mounts, read_text("/proc/self/cgroup"));
    const auto root = cgroup_root(mounts);
    std::vector<std::string> all;
    if (!own || !root) { return all; }
    for (std::string at = *own;; at.resize(at.rfind('/'))) {
        all.push_back(at);
        if (at.size() <= root->size()) { return all; }
    }
}

bool write_text(const std::string& path, const std::string& text) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A path in mountinfo has space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            out.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0')));
            i += 3;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

} // namespace

std::string cgroup_name_of(const std::string& project, const std::string& vm, const std::string& runtime_dir) {
    // Machines of one name may run from several runtime directories.
    std::array<char, 9> where{};
    std::snprintf(where.data(), where.size(), "%08x", static_cast<unsigned>(wire::crc32(runtime_dir)));
    std::string name = "microvmc-" + std::string(where.data()) + "-" + project + "-" + vm;
    for (char& c : name) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '_' || c == '.';
        if (!plain) { c = '_'; }
    }
    return name.substr(0, 255);
}

std::optional<std::string> cgroup_root(std::string_view mountinfo) {
    return own_cgroup(mountinfo, "0::/\n");
}

std::vector<std::string> controllers_for(const Limits& limits) {
    std::vector<std::string> names;
    if (limits.cpu != 0) { names.emplace_back("cpu"); }
    if (limits.mem_mib != 0) { names.emplace_back("memory"); }
    if (limits.pids != 0) { names.emplace_back("pids"); }
    if (limits.io_read_mib != 0 || limits.io_write_mib != 0) { names.emplace_back("io"); }
    return names;
}

std::vector<std::string> usable_controllers() {
    std::vector<std::string> names;
    for (const std::string& base : bases()) {
        if (::access(base.c_str(), W_OK) != 0) { continue; }
        for (std::string& name : words_in(base + "/cgroup.controllers")) {
            if (std::ranges::find(names, name) == names.end()) { names.push_back(std::move(name)); }
        }
    }
    return names;
}

std::optional<std::string> own_cgroup(std::string_view mountinfo, std::string_view membership) {
    std::optional<std::string> own;
    for (const std::string_view line : split(membership, '\n')) {
        if (line.starts_with("0::/")) { own = line.substr(3); }
    }
    if (!own) { return std::nullopt; }
    for (const std::string_view line : split(mountinfo, '\n')) {
        // ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS [OPTIONAL...] - TYPE SOURCE OPTIONS
        const auto fields = split(line, ' ');
        const std::size_t dash = line.find(" - ");
        if (fields.size() < 6 || dash == std::string_view::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) {
            continue;
        }
        const std::string root = unescape(fields[3]);
        std::string below = *own;
        if (root != "/") {
            if (below != root && !below.starts_with(root + "/")) { continue; }
            below.erase(0, root.size());
        }
        std::string path = unescape(fields[4]) + below;
        while (path.ends_with('/')) { path.pop_back(); }
        return path;
    }
    return std::nullopt;
}

namespace {

// The whole disk that a file is on, "8:0"; its partitions have no limits of their own. Throws Error.
std::string disk_of(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) { throw Error("can't look at " + path + ": " + std::strerror(errno)); }
    std::string number = std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
    const std::string device = "/sys/dev/block/" + number;
    if (::access((device + "/dev").c_str(), F_OK) != 0) {
        throw Error("limits.io-read and limits.io-write need " + path +
                        " to be on a disk, and its file system is on none",
                    "put the image on another file system, or leave these limits out");
    }
    if (::access((device + "/partition").c_str(), F_OK) != 0) { return number; }
    number = read_text((device + "/../dev").c_str());
    return number.substr(0, number.find('\n'));
}

void set(const std::string& cgroup, const char* file, const std::string& value) {
    const std::string path = cgroup + "/" + file;
    if (!write_text(path, value)) {
        throw Error("can't limit the machine: writing \"" + value + "\" to " + path + ": " + std::strerror(errno));
    }
}

std::string io_max(const std::string& disk, const Limits& limits) {
    const auto bytes = [](std::uint64_t mib) { return mib == 0 ? "max" : std::to_string(mib << 20U); };
    return disk + " rbps=" + bytes(limits.io_read_mib) + " wbps=" + bytes(limits.io_write_mib);
}

// linux: Documentation/admin-guide/cgroup-v2.rst
void set_limits(const std::string& cgroup, const Limits& limits) {
    constexpr long period_us = 100'000;
    if (limits.cpu != 0) {
        const long quota = std::max(1'000L, std::lround(limits.cpu * period_us)); // the kernel takes no less
        set(cgroup, "cpu.max", std::to_string(quota) + " " + std::to_string(period_us));
    }
    if (limits.mem_mib != 0) { set(cgroup, "memory.max", std::to_string(limits.mem_mib << 20U)); }
    if (limits.pids != 0) { set(cgroup, "pids.max", std::to_string(limits.pids)); }
    std::vector<std::string> disks;
    for (const std::string& path : limits.io_paths) {
        std::string disk = disk_of(path);
        if (std::ranges::find(disks, disk) == disks.end()) { disks.push_back(std::move(disk)); }
    }
    for (const std::string& disk : disks) { set(cgroup, "io.max", io_max(disk, limits)); }
}

// Where a cgroup with these controllers can be made. Throws Error.
std::string base_with(const std::vector<std::string>& controllers) {
    const auto has_all = [&controllers](const std::string& base) {
        const std::vector<std::string> given = words_in(base + "/cgroup.subtree_control");
        return std::ranges::all_of(
            controllers, [&given](const std::string& name) { return std::ranges::find(given, name) != given.end(); });
    };
    const std::vector<std::string> all = bases();
    for (const std::string& base : all) {
        if (::access(base.c_str(), W_OK) == 0 && has_all(base)) { return base; }
    }
    for (const std::string& base : all) {
        if (::access(base.c_str(), W_OK) != 0) { continue; }
        for (const std::string& name : controllers) { write_text(base + "/cgroup.subtree_control", "+" + name); }
        if (has_all(base)) { return base; }
    }
    std::string names;
    for (const std::string& name : controllers) { names += (names.empty() ? "" : ", ") + name; }
    throw Error("the machine's limits can't be set: no cgroup in which you may make one has the controllers " + names,
                "systemd-run --user --scope -p Delegate=yes microvmc ... gives it one of its own");
}

} // namespace

Cgroup::Cgroup(const std::string& name, const Limits& limits) {
    const std::vector<std::string> controllers = controllers_for(limits);
    const auto own = own_cgroup(read_text("/proc/self/mountinfo"), read_text("/proc/self/cgroup"));
    if (!own && controllers.empty()) { return; }
    const std::string path = (controllers.empty() ? *own : base_with(controllers)) + "/" + name;
    if (::mkdir(path.c_str(), 0755) != 0) {
        if (errno != EEXIST || !kill_cgroup(path) || ::mkdir(path.c_str(), 0755) != 0) {
            if (controllers.empty()) { return; }
            throw Error("can't make the cgroup " + path + ": " + std::strerror(errno));
        }
    }
    path_ = path;
    fd_.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    try {
        set_limits(path, limits);
    } catch (const Error&) {
        remove();
        throw;
    }
}

std::unique_ptr<Cgroup> Cgroup::adopt(const std::string& path) {
    std::unique_ptr<Cgroup> cgroup(new Cgroup);
    if (path.empty()) { return cgroup; }
    cgroup->fd_.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    cgroup->path_ = path;
    return cgroup;
}

void Cgroup::remove() {
    fd_.reset();
    if (!path_.empty()) { kill_cgroup(path_); }
    path_.clear();
}

} // namespace microvmc::supervisor
