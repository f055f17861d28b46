#pragma once

#include <string>
#include <vector>

// `microvmc cp`: the stream of guest/copy.h through a command of the guest's agent.

namespace microvmc {

/// Copies a file or directory of the host into the machine: into `target` when that is a directory there, else as it.
/// Gives what was left out, for people. Throws Error when it can't be done; then nothing of it is under its name.
std::vector<std::string> copy_to_machine(const std::string& runtime_dir, const std::string& source,
                                         const std::string& target);

/// The other way.
std::vector<std::string> copy_from_machine(const std::string& runtime_dir, const std::string& source,
                                           const std::string& target);

} // namespace microvmc
