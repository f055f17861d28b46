#pragma once

#include "compiler/compile.h"
#include "compiler/diagnostic.h"
#include "compiler/merge.h"
#include "compiler/source.h"
#include "compiler/traits.h"
#include "testkit/spec.h"
#include "testkit/variants.h"

#include <span>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// Text to cases: parses each of `specs`, carries out its matrix, and decodes each point of it; everything that is
/// wrong is in `diagnostics`, sorted, and there are no cases then. `machines`: microvm.toml files, the farthest first,
/// over which the machines of each spec are merged; what they include is read by `read`. `versions`: of what the cases
/// run on, for what they make optional. Pure.
Specs load(std::vector<SourceFile> machines, std::vector<SourceFile> specs, std::span<const Traits> traits,
           const IncludeReader& read, Diagnostics& diagnostics, std::span<const HypervisorVersion> versions = {});

/// What a case's machines are decoded from; for tests.
using MergedMachines = std::vector<Node>;
Specs load(std::vector<SourceFile> machines, std::vector<SourceFile> specs, std::span<const Traits> traits,
           const IncludeReader& read, Diagnostics& diagnostics, MergedMachines* merged,
           std::span<const HypervisorVersion> versions = {});

/// A spec of one step, which runs argv in the guest: of `on`, or of a machine of its own when that is empty.
SourceFile command_spec(const std::vector<std::string>& argv, const std::string& on, const std::string& directory);

} // namespace microvmc::testkit
