#pragma once

#include <string>

namespace microvmc::boot {

/// What a command line says in the guest of a machine, both streams; run by `sh -c`. A status that isn't 0 fails the
/// test.
std::string in_guest(const std::string& runtime_dir, const std::string& command);

} // namespace microvmc::boot
