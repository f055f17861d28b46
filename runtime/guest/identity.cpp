#include "runtime/guest/identity.h"

#include "runtime/guest/system.h"

#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::guest {

namespace {

void write_resolv_conf(const Settings& settings) {
    constexpr const char* path = "/etc/resolv.conf";
    std::string text;
    for (const auto& interface : settings.interfaces) {
        for (const auto& server : interface.dns) { text.append("nameserver ").append(server).append("\n"); }
    }
    struct stat found {};
    const bool is_link = lstat(path, &found) == 0 && S_ISLNK(found.st_mode);
    if (!text.empty() && !is_link) { write_file(path, text); }
}

} // namespace

void set_identity(const Settings& settings) {
    if (!settings.hostname.empty()) { sethostname(settings.hostname.data(), settings.hostname.size()); }
    if (!settings.root) {
        mkdir("/etc", 0755);
        const std::string_view name = settings.hostname.empty() ? "localhost" : std::string_view(settings.hostname);
        write_file("/etc/hostname", concat({name, "\n"}));
        write_file("/etc/hosts", concat({"127.0.0.1 localhost\n127.0.1.1 ", name, "\n::1 localhost\n"}));
    }
    write_resolv_conf(settings);
}

} // namespace microvmc::guest
