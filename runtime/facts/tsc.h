#pragma once

#include <cstdint>
#include <string_view>

namespace microvmc {

/// Whether /proc/cpuinfo's text says that the TSC runs at one frequency whatever the CPU does (flag constant_tsc).
bool has_constant_tsc(std::string_view cpuinfo);

/// The TSC's frequency in kHz: median of five windows of 5 ms against CLOCK_MONOTONIC_RAW, which no clock discipline
/// bends. 0 on other architectures.
std::uint64_t measure_tsc_khz();

} // namespace microvmc
