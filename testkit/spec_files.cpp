#include "testkit/spec_files.h"

#include "compiler/text.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <system_error>

namespace microvmc::testkit {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_files = 1000;

/// Sorted by path.
std::vector<std::string> specs_in(const fs::path& directory) {
    std::vector<std::string> paths;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        if (!name.ends_with(".toml") || name.starts_with('.')) { continue; }
        paths.push_back(entry->path().string());
        if (paths.size() > most_files) {
            throw Error(fmt::format("{} has more than {} specs", directory.string(), most_files));
        }
    }
    if (error) { throw Error(fmt::format("can't read {}: {}", directory.string(), error.message())); }
    std::ranges::sort(paths);
    return paths;
}

bool is_path(const std::string& name) {
    return name.find('/') != std::string::npos || name.ends_with(".toml") || name == "." || name == "..";
}

void read_directory(const std::string& path, std::vector<SourceFile>& specs) {
    const std::vector<std::string> files = specs_in(path);
    if (files.empty()) { throw Error(fmt::format("{} has no specs in it", path), "a spec's file ends in .toml"); }
    for (const std::string& file : files) { specs.push_back(read_source(file)); }
}

Error unknown_spec(const std::string& name, const std::vector<ShippedSpec>& shipped) {
    std::error_code ignored;
    if (fs::exists(name, ignored)) {
        return Error(fmt::format("no spec is called {}", printable(name)),
                     fmt::format("a file or directory is named by a path: ./{}", printable(name)));
    }
    std::vector<std::string_view> known;
    for (const ShippedSpec& spec : shipped) { known.push_back(spec.name); }
    const std::string_view meant = nearest(name, known);
    return Error(fmt::format("no spec is called {}", printable(name)),
                 !meant.empty()  ? fmt::format("did you mean {}?", meant)
                 : known.empty() ? std::string("none came with microvm-test")
                                 : fmt::format("there is {}", list_or(known)));
}

} // namespace

std::vector<ShippedSpec> shipped_specs() {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error).parent_path();
    for (const fs::path& place : {self / "specs", self.parent_path() / "share/microvmc/specs"}) {
        if (!fs::is_directory(place, error)) { continue; }
        std::vector<ShippedSpec> specs;
        for (const std::string& path : specs_in(place)) { specs.push_back({fs::path(path).stem().string(), path}); }
        return specs;
    }
    return {};
}

std::vector<SourceFile> read_specs(const std::vector<std::string>& named) {
    std::vector<SourceFile> specs;
    const std::vector<ShippedSpec> shipped = shipped_specs();
    for (const std::string& name : named) {
        std::error_code ignored;
        if (is_path(name)) {
            if (fs::is_directory(name, ignored)) {
                read_directory(name, specs);
            } else {
                specs.push_back(read_source(name));
            }
            continue;
        }
        const auto found = std::ranges::find(shipped, name, &ShippedSpec::name);
        if (found == shipped.end()) { throw unknown_spec(name, shipped); }
        specs.push_back(read_source(found->path));
    }
    return specs;
}

std::string summary_of(std::string_view text) {
    std::string_view line = text.substr(0, text.find('\n'));
    if (!line.starts_with('#')) { return {}; }
    line.remove_prefix(std::min(line.find_first_not_of("# "), line.size()));
    return std::string(line);
}

} // namespace microvmc::testkit
