#include "runtime/facts/tools.h"

#include "runtime/error.h"
#include "runtime/process.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace microvmc {

namespace {

constexpr std::chrono::seconds version_timeout{5};

bool is_program(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// What makes a program tell its version, one after the other until it does; those that would do something else are
/// listed.
std::vector<std::vector<std::string>> version_argvs(const std::string& program) {
    const std::string name = std::filesystem::path(program).filename().string();
    if (name == "busybox") { return {{program}}; }
    if (name == "mke2fs" || name.starts_with("mkfs.")) { return {{program, "-V"}}; }
    return {{program, "--version"}, {program, "-version"}, {program, "version"}};
}

/// What it says when it ends well counts before what it says otherwise; empty: nothing.
std::string version_of(const Ran& ran) {
    const std::string version = parse_version(ran.out);
    return version.empty() ? parse_version(ran.err) : version;
}

} // namespace

std::string find_program(const std::string& name, std::string_view path) {
    if (name.find('/') != std::string::npos) {
        std::error_code error;
        return is_program(name) ? std::filesystem::absolute(name, error).string() : "";
    }
    const std::string places = std::string(path) + ":/usr/local/sbin:/usr/sbin:/sbin";
    for (std::size_t start = 0; start <= places.size();) {
        const std::size_t end = std::min(places.find(':', start), places.size());
        const std::string directory = places.substr(start, end - start);
        // Relative entries and empty ones (the current directory) would make a plan depend on where it is made.
        if (directory.starts_with('/')) {
            std::string candidate = fmt::format("{}/{}", directory, name);
            if (is_program(candidate)) { return candidate; }
        }
        start = end + 1;
    }
    return {};
}

std::string parse_version(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!is_digit(text[i]) || (i > 0 && (is_digit(text[i - 1]) || text[i - 1] == '.'))) { continue; }
        std::size_t end = i;
        while (end < text.size() &&
               (is_digit(text[end]) || (text[end] == '.' && end + 1 < text.size() && is_digit(text[end + 1])))) {
            ++end;
        }
        const std::string_view number = text.substr(i, end - i);
        if (number.find('.') != std::string_view::npos) { return std::string(number); }
    }
    return {};
}

std::string ask_version(const std::string& program) {
    try {
        std::optional<std::string> first;
        for (const auto& argv : version_argvs(program)) {
            const Ran ran = run_program(argv, {.input = {}, .cwd = {}, .timeout = version_timeout, .inherit = {}});
            const std::string version = version_of(ran);
            if (ran.status == 0 && !version.empty()) { return version; }
            if (!first) { first = version; } // some say it, and end as if they had failed
        }
        return first.value_or("");
    } catch (const Error&) { return {}; }
}

} // namespace microvmc
