#pragma once

#include "compiler/plan.h"
#include "testkit/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// Where a case's files lie below `directory`: by target, by case, by round and attempt. Every name is fit for a file
/// system.
std::string artifacts_path(const std::string& directory, const CaseResult& result, std::uint32_t round);

/// Writes what a case leaves: result.json, command-lines (a shell could run them), and each machine's plan.json,
/// console.log and vmm.log below its name. `plan`: null when nothing was planned. Throws Error.
void write_artifacts(const CaseResult& result, const Plan* plan, const std::string& path);

} // namespace microvmc::testkit
