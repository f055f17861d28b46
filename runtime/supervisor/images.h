#pragma once

#include "runtime/fd.h"
#include "runtime/launch.h"

#include <vector>

namespace microvmc::supervisor {

/// Locks the machine's images (image_lock.h). The descriptors, which its children inherit, hold the locks. Throws Error
/// that names the image which another machine has, or which can't be opened.
std::vector<Fd> lock_images(const std::vector<Launch::Image>& images);

/// Throws Error that names the image whose first bytes are those of a format other than raw, or which can't be read.
void refuse_disguised(const std::vector<std::string>& raw_images);

} // namespace microvmc::supervisor
