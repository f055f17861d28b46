#include "runtime/commands/inputs.h"

#include "compiler/document.h"
#include "compiler/include.h"
#include "compiler/resolve.h"
#include "compiler/text.h"
#include "runtime/commands/include_reader.h"
#include "runtime/error.h"
#include "runtime/fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

constexpr const char* default_name = "microvm.toml";

// Reads to the end, or one byte past the cap.
std::string read_capped(int fd, const std::string& path) {
    std::string text;
    std::array<char, 65536> buffer{};
    while (text.size() <= max_source_bytes) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) { continue; }
        if (got < 0) { throw Error(fmt::format("can't read {}: {}", path, std::strerror(errno))); }
        if (got == 0) { return text; }
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    throw Error(fmt::format("{} is larger than 8 MiB", path),
                "a project is described in at most 8 MiB, includes counted");
}

} // namespace

Targets classify(const Session& session) {
    Targets targets;
    targets.files = session.files;
    for (const std::string& target : session.targets) {
        const bool is_file = target.find('/') != std::string::npos || target.ends_with(".toml") ||
                             target.ends_with(".json") || target == ".";
        (is_file ? targets.files : targets.vms).push_back(target);
    }
    return targets;
}

std::vector<std::string> vm_names(const Session& session) {
    return classify(session).vms;
}

Error no_machine(const std::string& name, const std::vector<std::string>& known) {
    return Error(fmt::format("no machine is called {}", printable(name)),
                 fmt::format("there is {}", fmt::join(known, ", ")));
}

std::string absolute_path(const std::string& path) {
    return fs::absolute(path).lexically_normal().string();
}

std::string find_default_file() {
    std::error_code error;
    fs::path directory = fs::current_path(error);
    if (error) { return {}; }
    for (;;) {
        const fs::path candidate = directory / default_name;
        if (fs::exists(fs::symlink_status(candidate, error))) {
            return candidate.lexically_relative(fs::current_path()).string();
        }
        if (directory == directory.parent_path()) { return {}; }
        directory = directory.parent_path();
    }
}

SourceFile read_source(const std::string& path) {
    if (path == "-") { return {"<stdin>", fs::current_path().string(), read_capped(STDIN_FILENO, "standard input")}; }
    // Not blocking: a FIFO without a writer would wait for ever.
    const Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file) {
        const int why = errno;
        struct stat link {};
        if (why == ENOENT && ::lstat(path.c_str(), &link) == 0) {
            throw Error(fmt::format("{} is a link to a file that doesn't exist", path));
        }
        throw Error(fmt::format("can't open {}: {}", path, std::strerror(why)));
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        throw Error(fmt::format("can't read {}: {}", path, std::strerror(errno)));
    }
    if (S_ISDIR(status.st_mode)) {
        const std::string inside = (fs::path(path) / default_name).lexically_normal().string();
        struct stat below {};
        if (::stat(inside.c_str(), &below) != 0) {
            throw Error(fmt::format("{} is a directory without a microvm.toml", path));
        }
        if (S_ISDIR(below.st_mode)) { throw Error(fmt::format("{} is a directory", inside)); }
        return read_source(inside);
    }
    if (!S_ISREG(status.st_mode)) { throw Error(fmt::format("{} is not a regular file", path)); }
    return {path, fs::absolute(path).lexically_normal().parent_path().string(), read_capped(file.get(), path)};
}

std::vector<std::string> source_paths(const Session& session) {
    std::vector<std::string> files = classify(session).files;
    if (files.empty()) { files.push_back(find_default_file()); }
    if (files.front().empty()) {
        throw Error("no microvm.toml here or in a directory above",
                    "name one (microvmc plan FILE), or start with: microvmc run -- COMMAND");
    }
    return files;
}

std::string project_name(const Session& session) {
    if (!session.project.empty()) { return session.project; }
    Sources sources;
    for (const std::string& path : source_paths(session)) { sources.files.push_back(read_source(path)); }
    // A file with mistakes in it still says which project is meant: nothing but its name matters here.
    Diagnostics ignored;
    Config config;
    for (const Document& document : parse_all(sources, read_included, ignored)) { // the nearest last
        const Member* name = document.root.table()->find("name");
        if (name == nullptr || name->value.string() == nullptr) { continue; }
        config.name = {*name->value.string(), name->value.span};
    }
    return project_name(config, sources, {});
}

} // namespace microvmc
