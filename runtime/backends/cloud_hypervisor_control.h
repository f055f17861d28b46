#pragma once

#include "runtime/backend.h"

#include <chrono>
#include <memory>
#include <string>

namespace microvmc {

// A part of cloud_hypervisor.cpp: what is asked of a running cloud-hypervisor, over its REST API.

namespace cloud_hypervisor_ids {
inline constexpr const char* volume = "volume"; ///< and a number: the id of a volume's disk
} // namespace cloud_hypervisor_ids

std::unique_ptr<Control> attach_cloud_hypervisor(const std::string& control, std::chrono::milliseconds timeout);

} // namespace microvmc
