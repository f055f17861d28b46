#include "runtime/kernel_params.h"

#include <algorithm>

namespace microvmc {

namespace {

bool is_kernel_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || static_cast<unsigned char>(c) == 0xa0;
}

} // namespace

std::optional<std::string> quote_kernel_param(std::string_view param) {
    if (param.empty() || param.find('"') != std::string_view::npos || param.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    if (std::ranges::none_of(param, is_kernel_space)) { return std::string(param); }
    return '"' + std::string(param) + '"';
}

std::optional<std::string> kernel_command_line(std::span<const std::string> params) {
    std::string line;
    for (const std::string& param : params) {
        const std::optional<std::string> quoted = quote_kernel_param(param);
        if (!quoted) { return std::nullopt; }
        if (!line.empty()) { line += ' '; }
        line += *quoted;
    }
    if (line.size() > max_kernel_command_line) { return std::nullopt; }
    return line;
}

} // namespace microvmc
