#include "runtime/guest/identity.h"

#include "runtime/guest/system.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::guest {

namespace {

constexpr const char* covers = "/run/microvmc/etc"; ///< of files in a read-only /etc

bool is_link(const std::string& path) {
    struct stat found {};
    return lstat(path.c_str(), &found) == 0 && S_ISLNK(found.st_mode);
}

/// A file of /etc with this text. One that is a link is another program's to write.
void provide(const std::string& name, std::string_view text) {
    const std::string path = concat({"/etc/", name});
    if (is_link(path) || read_file(path) == text || write_file(path, text)) { return; }
    const std::string cover = concat({covers, "/", name});
    if (make_directories(covers) || !write_file(cover, text)) { return; }
    mount(cover.c_str(), path.c_str(), nullptr, MS_BIND, nullptr);
}

void provide_resolv_conf(const Settings& settings) {
    std::string text;
    for (const auto& interface : settings.interfaces) {
        for (const auto& server : interface.dns) { text.append("nameserver ").append(server).append("\n"); }
    }
    if (!text.empty()) { provide("resolv.conf", text); }
}

} // namespace

void set_identity(const Settings& settings) {
    mkdir("/etc", 0755);
    const std::string_view name = settings.hostname.empty() ? "localhost" : std::string_view(settings.hostname);
    if (!settings.hostname.empty()) { sethostname(settings.hostname.data(), settings.hostname.size()); }
    // The root's own init sets the name again, by this file (hostname(5)).
    if (!settings.hostname.empty() || !settings.root) { provide("hostname", concat({name, "\n"})); }
    if (!settings.root) { provide("hosts", concat({"127.0.0.1 localhost\n127.0.1.1 ", name, "\n::1 localhost\n"})); }
    if (!settings.machine_id.empty()) { provide("machine-id", concat({settings.machine_id, "\n"})); }
    provide_resolv_conf(settings);
}

} // namespace microvmc::guest
