#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>

namespace microvmc {

/// What a man page says that isn't found in the app; man(7), each line ended.
struct ManualText {
    std::string_view title; ///< of one line, without its end
    std::string_view synopsis;
    std::string_view description; ///< after what the app says
    std::string_view ending;      ///< exit status and what follows
};
/// A page of section 1, from the app's arguments, options and commands.
std::string manual_page(const CLI::App& app, const ManualText& text);

/// microvmc(1)
std::string command_manual(const CLI::App& app);

} // namespace microvmc
