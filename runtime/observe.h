#pragma once

#include "compiler/observed.h"

#include <string>
#include <vector>

namespace microvmc {

/// Directories of a project and of a machine below the state and the runtime directory.
std::string project_state_dir(const std::string& state_dir, const std::string& project);
std::string project_runtime_dir(const std::string& runtime_dir, const std::string& project);

/// Names of the machines of a project that have a record or a runtime directory, sorted.
std::vector<std::string> observed_names(const std::string& state_dir, const std::string& runtime_dir,
                                        const std::string& project);

/// What was recorded and what runs of a project: one entry for each machine that has a record or runs, by name. A
/// record that can't be read is an Error that names the file.
Observed observe(const std::string& state_dir, const std::string& runtime_dir, const std::string& project);

/// Names of the projects that have a state directory, sorted.
std::vector<std::string> known_projects(const std::string& state_dir);

} // namespace microvmc
