#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"

#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// What a kernel lacks of these options, as messages name them: "CONFIG_VIRTIO_BLK". `has_modules`: what is a module
/// will be loaded; else it counts as missing.
std::vector<std::string> missing_options(const KernelOptions& options, const std::vector<std::string_view>& wanted,
                                         bool has_modules);

/// The same of a machine's kernel, for people: "vmlinux lacks CONFIG_VIRTIO_BLK (it comes without modules)"; empty: it
/// lacks none.
std::string kernel_lacks(const VmPlan& vm, const KernelOptions& options, const std::vector<std::string_view>& wanted);

} // namespace microvmc
