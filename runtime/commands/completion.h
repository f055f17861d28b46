#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace microvmc {

// Scripts that complete commands, options, their values, files and machines, for the three shells. Machines are asked
// of the program itself (`__complete vms`), in the files that the line names.

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

} // namespace microvmc
