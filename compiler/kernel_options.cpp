#include "compiler/kernel_options.h"

#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace microvmc {

std::vector<std::string> missing_options(const KernelOptions& options, const std::vector<std::string_view>& wanted,
                                         bool has_modules) {
    std::vector<std::string> missing;
    for (const std::string_view option : wanted) {
        const auto found = options.find(option);
        if (found != options.end() && (found->second || has_modules)) { continue; }
        std::string name = fmt::format("CONFIG_{}", option);
        if (std::ranges::find(missing, name) == missing.end()) { missing.push_back(std::move(name)); }
    }
    return missing;
}

std::string kernel_lacks(const VmPlan& vm, const KernelOptions& options, const std::vector<std::string_view>& wanted) {
    const bool has_modules = !vm.kernel.modules.empty();
    const std::vector<std::string> missing = missing_options(options, wanted, has_modules);
    if (missing.empty()) { return {}; }
    const std::string& path = vm.kernel.source;
    return fmt::format("{} lacks {}{}", printable(path.substr(path.rfind('/') + 1)), fmt::join(missing, ", "),
                       has_modules ? "" : " (it comes without modules)");
}

} // namespace microvmc
