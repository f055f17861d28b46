#pragma once

#include <optional>
#include <string>
#include <sys/stat.h>

namespace microvmc::supervisor {

/// Tells one installed program from another, as a text: device, inode, size and time of change of the file. Here whole,
/// because the supervisor says its own (/proc/self/exe) and a client compares it with what is installed. Nothing when
/// the file can't be looked at.
inline std::optional<std::string> program_identity(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) { return std::nullopt; }
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" + std::to_string(status.st_size) +
           ":" + std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
}

} // namespace microvmc::supervisor
