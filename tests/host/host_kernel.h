#pragma once

#include "compiler/plan.h"
#include "runtime/facts/kernels.h"

#include <optional>
#include <string>

namespace microvmc {

/// The newest kernel of this machine that has modules.
inline std::optional<KernelFacts> host_kernel() {
    for (const KernelFacts& kernel : host_kernels()) {
        if (kernel.readable && kernel.image == KernelImage::bzimage && !kernel.modules.empty()) { return kernel; }
    }
    return std::nullopt;
}

inline KernelPlan plan_of(const KernelFacts& kernel, const std::string& pin, KernelImage image) {
    KernelPlan plan;
    plan.source = kernel.path;
    plan.release = kernel.release;
    plan.identity = kernel.identity;
    plan.modules = kernel.modules;
    plan.pin = pin;
    plan.image = image;
    return plan;
}

} // namespace microvmc
