#pragma once

#include "compiler/source.h"

#include <string>
#include <vector>

namespace microvmc::testkit {

/// A spec that comes with the program.
struct ShippedSpec {
    std::string name; ///< "volumes"
    std::string path;
};
/// Sorted by name: the specs beside the program as the build tree has them (specs/*.toml), or installed in
/// ../share/microvmc/specs. Empty when there are none.
std::vector<ShippedSpec> shipped_specs();

/// Reads what the command line names: a file (what contains `/` or ends in .toml), each *.toml of a directory, or a
/// shipped spec. Throws Error that says what is wrong with a name or a path.
std::vector<SourceFile> read_specs(const std::vector<std::string>& named);

/// The first line of a spec's comment that it begins with: what it is about.
std::string summary_of(std::string_view text);

} // namespace microvmc::testkit
