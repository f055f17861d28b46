#pragma once

#include "compiler/source.h"
#include "runtime/commands/session.h"
#include "runtime/error.h"

#include <string>
#include <vector>

namespace microvmc {

/// What the positionals and -f say: a positional that contains `/`, ends in .toml or .json, or is `.` is a file, else a
/// VM.
struct Targets {
    std::vector<std::string> files;
    std::vector<std::string> vms;
};
Targets classify(const Session& session);

/// The names of VMs among the positionals.
std::vector<std::string> vm_names(const Session& session);

/// What to throw of a name that no machine has; `known` are those that there are.
Error no_machine(const std::string& name, const std::vector<std::string>& known);

/// `path` as seen from the root.
std::string absolute_path(const std::string& path);

/// The microvm.toml of the current directory or the nearest parent; empty when there is none.
std::string find_default_file();

/// Reads a source: a regular file (or standard input for "-"), at most 8 MiB. A directory means its microvm.toml.
/// Throws Error that says what is wrong with the path; never blocks on a FIFO or a device.
SourceFile read_source(const std::string& path);

/// The sources that a command works on, at least one; throws Error when none was named and none is found.
std::vector<std::string> source_paths(const Session& session);

/// The project's name without compiling: -p, MICROVMC_PROJECT, the sources' `name`, the first one's
/// directory's name.
std::string project_name(const Session& session);

} // namespace microvmc
