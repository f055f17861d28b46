#include "runtime/commands/include_reader.h"

#include "compiler/document.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <glob.h>
#include <memory>
#include <optional>
#include <sys/stat.h>

namespace microvmc {

namespace {

// More than are included (compiler/include.cpp), so that it says so and not this.
constexpr std::size_t most_files = 300;
constexpr std::size_t most_entries = 100'000;

// The path that a pattern without wildcards stands for; nothing when there are some.
std::optional<std::string> plain_path(const std::string& pattern) {
    std::string path;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[') { return std::nullopt; }
        if (pattern[i] == '\\' && i + 1 < pattern.size()) { ++i; }
        path += pattern[i];
    }
    return path;
}

// What isn't there matches nothing; what can't be looked at is a problem.
int is_problem(const char* /*path*/, int why) {
    return why == ENOENT || why == ENOTDIR ? 0 : why;
}

// glob has no bound of its own, and */*/*/* is soon said.
thread_local std::size_t entries_seen = 0;

dirent* next_entry(void* directory) {
    if (++entries_seen > most_entries) { return nullptr; }
    return ::readdir(static_cast<DIR*>(directory));
}

std::vector<std::string> matches(const std::string& pattern, std::string& problem) {
    glob_t found{};
    found.gl_opendir = [](const char* path) -> void* { return ::opendir(path); };
    found.gl_readdir = next_entry;
    found.gl_closedir = [](void* directory) { ::closedir(static_cast<DIR*>(directory)); };
    found.gl_lstat = ::lstat;
    found.gl_stat = ::stat;
    entries_seen = 0;
    // Sorted by bytes, since no locale is set.
    const int status = ::glob(pattern.c_str(), GLOB_ALTDIRFUNC, is_problem, &found);
    const int why = errno;
    const std::unique_ptr<glob_t, void (*)(glob_t*)> freed(&found, ::globfree);
    if (entries_seen > most_entries) {
        problem = fmt::format("more than {} files would have to be looked at", most_entries);
        return {};
    }
    if (status == GLOB_NOMATCH) { return {}; }
    if (status != 0) {
        problem = status == GLOB_NOSPACE ? "no memory left" : std::strerror(why);
        return {};
    }
    return {found.gl_pathv, found.gl_pathv + std::min<std::size_t>(found.gl_pathc, most_files)};
}

// What is there, said of a thing that can't be included; empty when it can.
std::string misfit(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? "there is no such file" : std::strerror(errno);
    }
    if (S_ISLNK(status.st_mode) && ::stat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? "it is a link to a file that doesn't exist" : std::strerror(errno);
    }
    if (S_ISDIR(status.st_mode)) { return "it is a directory"; }
    return S_ISREG(status.st_mode) ? "" : "it is not a regular file";
}

} // namespace

Included read_included(const std::string& pattern) {
    Included included;
    const std::optional<std::string> plain = plain_path(pattern);
    const std::vector<std::string> paths = plain ? std::vector{*plain} : matches(pattern, included.problem);
    std::size_t bytes = 0;
    for (const std::string& path : paths) {
        std::string problem = misfit(path);
        if (problem.empty()) {
            try {
                included.files.push_back(read_source(path));
                bytes += included.files.back().text.size();
                if (bytes <= max_source_bytes) { continue; }
                problem = "with this file it is more than 8 MiB";
            } catch (const Error& error) { problem = error.what(); }
        }
        included.files.clear();
        included.problem = plain ? problem : fmt::format("{}: {}", path, problem);
        break;
    }
    return included;
}

} // namespace microvmc
