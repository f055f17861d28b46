#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>

namespace microvmc {

// Scripts that complete commands, options, their values, files, machines and specs, for the three shells. Machines and
// specs are asked of the program itself (`__complete vms`, in the files that the line names, and `__complete specs`).

/// Adds the command `completion`, which prints them.
void add_completion_scripts(CLI::App& app);

/// A script's text for the program: `@f@` becomes the prefix of its functions' names, `@p@` its name.
std::string for_program(std::string_view text, const CLI::App& app);

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

} // namespace microvmc
