#pragma once

#include <span>
#include <string_view>

namespace microvmc {

/// A file of a template of `init`, as it lies in runtime/templates/TEMPLATE/PATH; made by CMake.
struct TemplateFile {
    std::string_view name; ///< the template's
    std::string_view path; ///< "www/index.html"
    std::string_view text;
};
/// By template, each with its microvm.toml last.
std::span<const TemplateFile> template_files();

} // namespace microvmc
