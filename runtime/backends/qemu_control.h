#pragma once

#include "runtime/backend.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace microvmc {

// A part of qemu.cpp: what is asked of a running QEMU, over QMP.

namespace qemu_ids {
inline constexpr const char* balloon = "balloon";
inline constexpr const char* plugged = "plugged"; ///< memory that comes and goes
inline constexpr const char* volume = "volume"; ///< and a number: a block node; with "-device" behind it, its device
} // namespace qemu_ids

/// Pure: what QEMU is told over QMP before its guest is up, because no option says it.
std::vector<ChatStep> qemu_start_chat(const VmPlan& vm);

std::unique_ptr<Control> attach_qemu(const std::string& control, std::chrono::milliseconds timeout);

} // namespace microvmc
