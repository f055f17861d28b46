#include "runtime/paths.h"

#include "runtime/error.h"
#include "runtime/files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <pwd.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace microvmc {

namespace {

std::string value_of(const Environment& environment, const char* name) {
    const char* value = environment(name);
    return value == nullptr ? "" : value;
}

std::string override_of(const Environment& environment, const char* name) {
    std::string value = value_of(environment, name);
    if (!value.empty() && value.front() != '/') {
        throw Error(fmt::format("{} is \"{}\", which is not an absolute path", name, value));
    }
    return value;
}

std::string xdg(const Environment& environment, const char* name) {
    std::string value = value_of(environment, name);
    return value.starts_with('/') ? value : "";
}

std::string home_of(std::uint32_t uid, const Environment& environment) {
    std::string home = xdg(environment, "HOME");
    if (!home.empty()) { return home; }
    const passwd* entry = ::getpwuid(uid);
    if (entry != nullptr && entry->pw_dir != nullptr && entry->pw_dir[0] == '/') { return entry->pw_dir; }
    throw Error("no home directory to keep state in", "set HOME, or MICROVMC_STATE_DIR");
}

std::string state_directory(std::uint32_t uid, const Environment& environment) {
    if (std::string named = override_of(environment, "MICROVMC_STATE_DIR"); !named.empty()) { return named; }
    if (uid == 0) { return "/var/lib/microvmc"; }
    if (const std::string base = xdg(environment, "XDG_STATE_HOME"); !base.empty()) { return base + "/microvmc"; }
    return home_of(uid, environment) + "/.local/state/microvmc";
}

std::string runtime_directory(std::uint32_t uid, const Environment& environment) {
    if (std::string named = override_of(environment, "MICROVMC_RUNTIME_DIR"); !named.empty()) { return named; }
    if (uid == 0) { return "/run/microvmc"; }
    if (const std::string base = xdg(environment, "XDG_RUNTIME_DIR"); !base.empty()) { return base + "/microvmc"; }
    return fmt::format("/tmp/microvmc-{}", uid);
}

void check_private(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        throw Error(fmt::format("can't look at {}: {}", path, std::strerror(errno)));
    }
    const char* help = "remove it, or name another with MICROVMC_RUNTIME_DIR";
    if (!S_ISDIR(status.st_mode)) { throw Error(fmt::format("{} is not a directory", path), help); }
    if (status.st_uid != ::geteuid()) {
        throw Error(fmt::format("{} belongs to the user {}, not to {}", path, status.st_uid, ::geteuid()), help);
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        throw Error(fmt::format("{} can be written by others", path), fmt::format("chmod go-w {}", path));
    }
}

std::string program_path(std::string_view build_folder, std::string_view name) {
    std::vector<std::string> places;
    if (const char* named = std::getenv("MICROVMC_LIBEXEC"); named != nullptr && *named != '\0') {
        places.push_back(fmt::format("{}/{}", named, name));
    } else {
        std::error_code error;
        const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
        places.push_back((self / build_folder / name).string());
        places.push_back((self.parent_path() / "runtime" / build_folder / name).string());
        places.push_back((self.parent_path() / "libexec/microvmc" / name).string());
    }
    for (const std::string& place : places) {
        if (::access(place.c_str(), X_OK) == 0) { return place; }
    }
    throw Error(fmt::format("can't find {} at {}", name, fmt::join(places, " or ")),
                "name its directory with MICROVMC_LIBEXEC");
}

} // namespace

Directories directories(std::uint32_t uid, const Environment& environment) {
    return {.state = state_directory(uid, environment), .runtime = runtime_directory(uid, environment)};
}

Directories directories() {
    return directories(::geteuid(), [](const char* name) { return std::getenv(name); });
}

void prepare_directories(const Directories& directories) {
    make_directories(directories.state, 0700);
    make_directories(directories.runtime, 0700);
    check_private(directories.runtime);
}

std::string guest_init_path() {
    return program_path("guest", "microvmc-init");
}

std::string supervisor_path() {
    return program_path("supervisor", "microvmc-supervisor");
}

std::string disk_reader_path() {
    return program_path("disk_reader", "microvmc-disk-reader");
}

} // namespace microvmc
