#pragma once

#include "runtime/guest/settings.h"

#include <string>

namespace microvmc::guest {

/// The device file of the volume's disk, by the rules of spec.h's `volume`. Waits for it to appear.
Failure find_disk(const VolumeSettings& volume, std::string& device);

} // namespace microvmc::guest
