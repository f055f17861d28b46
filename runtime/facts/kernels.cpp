#include "runtime/facts/kernels.h"

#include "compiler/facts_json.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/kernel/bzimage.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace microvmc {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
    const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
    return digits;
}

/// How a character sorts outside of numbers: what is a pre-release, the end, letters, the rest.
int weight(std::string_view text) {
    if (text.starts_with('~') || text.starts_with("-rc")) { return -1; }
    if (text.empty() || is_digit(text.front())) { return 0; }
    const char c = text.front();
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter ? c : 256 + static_cast<unsigned char>(c);
}

void sort_newest_first(std::vector<KernelFacts>& kernels) {
    std::ranges::sort(kernels, [](const KernelFacts& a, const KernelFacts& b) {
        const auto order = compare_releases(a.release, b.release);
        return std::is_eq(order) ? a.path < b.path : std::is_gt(order);
    });
}

/// Which of "9p" and "virtiofs" a kernel with this directory of modules has; none without one.
std::vector<std::string> share_file_systems(const std::string& modules) {
    if (modules.empty()) { return {}; }
    const std::string built_in = read_file(modules + "/modules.builtin").value_or("");
    const auto has = [&](const std::string& path) {
        if (("\n" + built_in).find("\n" + path + ".ko\n") != std::string::npos) { return true; }
        return std::ranges::any_of(std::array{".ko", ".ko.xz", ".ko.zst", ".ko.gz"}, [&](const char* suffix) {
            return ::access((modules + "/" + path + suffix).c_str(), F_OK) == 0;
        });
    };
    std::vector<std::string> found;
    if (has("kernel/fs/9p/9p") && has("kernel/net/9p/9pnet_virtio")) { found.emplace_back("9p"); }
    if (has("kernel/fs/fuse/virtiofs")) { found.emplace_back("virtiofs"); }
    return found;
}

} // namespace

std::strong_ordering compare_releases(std::string_view a, std::string_view b) {
    while (!a.empty() || !b.empty()) {
        if (!a.empty() && !b.empty() && is_digit(a.front()) && is_digit(b.front())) {
            const std::string_view x = take_digits(a);
            const std::string_view y = take_digits(b);
            if (x.size() != y.size()) { return x.size() <=> y.size(); }
            if (x != y) { return x < y ? std::strong_ordering::less : std::strong_ordering::greater; }
            continue;
        }
        const int x = weight(a);
        const int y = weight(b);
        if (x != y) { return x <=> y; }
        if (a.empty() || b.empty() || (is_digit(a.front()) != is_digit(b.front()))) { return a.size() <=> b.size(); }
        a.remove_prefix(1);
        b.remove_prefix(1);
    }
    return std::strong_ordering::equal;
}

std::string modules_directory(const std::string& release, const std::vector<std::string>& roots) {
    if (release.empty() || release.find('/') != std::string::npos) { return {}; }
    for (const std::string& root : roots) {
        std::string directory = fmt::format("{}/{}", root, release);
        if (::access((directory + "/modules.dep").c_str(), R_OK) == 0) { return directory; }
    }
    return {};
}

KernelFacts kernel_facts(const std::string& path, const std::vector<std::string>& module_roots) {
    KernelFacts facts = inspect_kernel(path);
    if (facts.release.empty()) {
        const std::string name = std::filesystem::path(path).filename().string();
        const std::size_t dash = name.find('-');
        if (dash != std::string::npos && !modules_directory(name.substr(dash + 1), module_roots).empty()) {
            facts.release = name.substr(dash + 1);
        }
    }
    facts.modules = modules_directory(facts.release, module_roots);
    facts.file_systems = share_file_systems(facts.modules);
    return facts;
}

std::vector<KernelFacts> host_kernels(const std::string& boot, const std::vector<std::string>& module_roots) {
    std::vector<KernelFacts> kernels;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(boot, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with("vmlinuz-") || name.find("rescue") != std::string::npos || name.ends_with(".old") ||
            name.ends_with(".bak") || name.ends_with("~")) {
            continue;
        }
        kernels.push_back(kernel_facts(entry.path().string(), module_roots));
    }
    sort_newest_first(kernels);
    return kernels;
}

std::vector<KernelFacts> pinned_kernels(const std::string& state_dir) {
    std::vector<KernelFacts> kernels;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(state_dir + "/kernels", error)) {
        // A directory that is being made has a name with a dot.
        if (entry.path().filename().string().starts_with('.')) { continue; }
        try {
            const auto text = read_file((entry.path() / "pin.json").string());
            if (!text) { continue; }
            KernelFacts& kernel = kernels.emplace_back(nlohmann::json::parse(*text).get<KernelFacts>());
            kernel.file_systems = share_file_systems(kernel.modules);
        } catch (const Error&) { // one that can't be read isn't there: pinning again says why
        } catch (const nlohmann::json::exception&) {}
    }
    sort_newest_first(kernels);
    return kernels;
}

} // namespace microvmc
