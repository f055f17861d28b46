#pragma once

#include "compiler/facts.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace microvmc {

struct KvmProbe {
    KvmFacts facts;
    std::uint64_t tsc_khz = 0; ///< KVM_GET_TSC_KHZ of the vCPU; 0: it doesn't say
};

/// Finds out what KVM can really run: a vCPU in 64-bit ring 0 with KVM_GET_SUPPORTED_CPUID's own table gets one
/// instruction and `hlt` after another (of those that the table announces), then a loop whose time tells an interpreter
/// from hardware. A /dev/kvm that opens proves little: without hardware under it, kernels die in it. The ioctls are
/// those of Linux, Documentation/virt/kvm/api.rst. Runs in a child, which is killed after `timeout`, so it always
/// returns; throws Error only when there can be no child.
KvmProbe probe_kvm(const std::string& device = "/dev/kvm", std::chrono::milliseconds timeout = std::chrono::seconds(5));

/// Without running anything: `missing` or `forbidden`, with the reason, or `works` when the device can be opened.
KvmFacts open_kvm(const std::string& device = "/dev/kvm");

} // namespace microvmc
