#pragma once

#include "compiler/plan.h"
#include "runtime/action.h"

#include <string>

namespace microvmc {

/// Where a machine's images of shares are.
std::string share_images_dir(const std::string& state_dir);

/// Where the image lies that a share is, when its hypervisor has none (proto "image").
std::string share_image_path(const VmPlan& vm, const SharePlan& share);

/// Makes it, an erofs of the directory as it is now, whole; what was there is replaced, and whoever has that open keeps
/// it. Readable by its owner only. Throws Error.
void build_share_image(const BuildShareImage& request);

} // namespace microvmc
