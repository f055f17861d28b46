#include "runtime/supervisor/cgroup.h"

#include "runtime/guest/wire.h"

#include <cstdio>
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

Cgroup::Cgroup(const std::string& name) {
    const auto own = own_cgroup(read_text("/proc/self/mountinfo"), read_text("/proc/self/cgroup"));
    if (!own) { return; }
    const std::string path = *own + "/" + name;
    if (::mkdir(path.c_str(), 0755) != 0) {
        if (errno != EEXIST || !kill_cgroup(path) || ::mkdir(path.c_str(), 0755) != 0) { return; }
    }
    fd_.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    path_ = path;
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
