#include "testkit/artifacts.h"

#include "compiler/digest.h"
#include "runtime/error.h"
#include "runtime/files.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc::testkit {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t longest_name = 120;

/// Letters, digits and some others stay; a long name gets the beginning of a hash of all of it.
std::string file_name(const std::string& text) {
    std::string name = text;
    std::ranges::replace_if(
        name,
        [](char c) {
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            return !letter && std::string_view("._-=,").find(c) == std::string_view::npos;
        },
        '_');
    if (name.starts_with('.')) { name.front() = '_'; }
    if (name.size() > longest_name) {
        name = fmt::format("{}-{}", name.substr(0, longest_name), sha256_hex(text).substr(0, 8));
    }
    return name;
}

void copy_if_there(const std::string& from, const std::string& to) {
    std::error_code error;
    fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    if (error && fs::exists(from)) { throw Error(fmt::format("can't copy {} to {}: {}", from, to, error.message())); }
}

} // namespace

std::string artifacts_path(const std::string& directory, const CaseResult& result, std::uint32_t round) {
    std::string name = file_name(result.id());
    if (round > 1) { name += fmt::format("-round-{}", round); }
    if (result.attempt > 1) { name += fmt::format("-attempt-{}", result.attempt); }
    return fmt::format("{}/{}/{}", directory, file_name(result.target), name);
}

void write_artifacts(const CaseResult& result, const Plan* plan, const std::string& path) {
    make_directories(path, 0755);
    const auto write = [&path](const std::string& name, const std::string& text) {
        write_whole(path + "/" + name, text, 0644);
    };
    write("result.json", nlohmann::json(result).dump(2) + "\n");
    std::string lines;
    for (const std::string& line : result.command_lines) { lines += line + "\n"; }
    if (!lines.empty()) { write("command-lines", lines); }
    if (plan == nullptr) { return; }
    for (const VmPlan& vm : plan->vms) {
        const std::string directory = path + "/" + vm.name;
        make_directories(directory, 0755);
        write(vm.name + "/plan.json", nlohmann::json(vm).dump(2) + "\n");
        for (const char* log : {"console.log", "console.log.1", "vmm.log", "vmm.log.1"}) {
            copy_if_there(vm.state_dir + "/" + log, directory + "/" + log);
        }
    }
}

} // namespace microvmc::testkit
