#pragma once

#include <string>

namespace microvmc {

/// Which running machine below the runtime directory uses the file, "PROJECT/VM"; empty: none of them. Files are
/// compared by device and inode, so that all names of one count.
std::string image_user(const std::string& runtime_dir, const std::string& path);

} // namespace microvmc
