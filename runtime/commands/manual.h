#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace microvmc {

/// microvmc(1), from the commands and their options.
std::string command_manual(const CLI::App& app);

} // namespace microvmc
