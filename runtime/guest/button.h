#pragma once

#include "runtime/guest/system.h"

#include <vector>

namespace microvmc::guest {

/// The input devices that have a power key (the ACPI power button, a keyboard), opened without blocking. Needs evdev.
std::vector<Fd> open_power_buttons();

/// Reads what the device has; true when its power key was pressed.
bool power_pressed(int device);

} // namespace microvmc::guest
