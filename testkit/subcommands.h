#pragma once

#include <CLI/CLI.hpp>

namespace microvmc::testkit {

/// `schema`: what is generated for editors and documentation.
void add_schema(CLI::App& app);
/// `completion`: scripts for shells, and what they ask.
void add_completion(CLI::App& app);

} // namespace microvmc::testkit
