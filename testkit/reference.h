#pragma once

#include "compiler/traits.h"

#include <CLI/CLI.hpp>

#include <span>
#include <string>

// What is generated from the spec's tables and the command line.

namespace microvmc::testkit {

/// docs/SPECS.md
std::string specs_markdown(std::span<const Traits> traits);
/// microvm-test(1)
std::string test_manual(const CLI::App& app, std::span<const Traits> traits);
/// The JSON Schema of a spec's file; it refuses nothing that loading takes.
std::string spec_json_schema(std::span<const Traits> traits);

} // namespace microvmc::testkit
