#include "runtime/facts/tsc.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

namespace microvmc {

bool has_constant_tsc(std::string_view cpuinfo) {
    const std::size_t start = cpuinfo.find("\nflags");
    if (start == std::string_view::npos) { return false; }
    const std::string_view flags = cpuinfo.substr(start + 1, cpuinfo.find('\n', start + 1) - start - 1);
    constexpr std::string_view wanted = " constant_tsc";
    const std::size_t at = flags.find(wanted);
    return at != std::string_view::npos && (at + wanted.size() == flags.size() || flags[at + wanted.size()] == ' ');
}

#ifdef __x86_64__

namespace {

struct Sample {
    std::uint64_t tsc = 0;
    std::int64_t ns = 0;
};

/// Both clocks at one moment: of several readings, the one in which least time passed.
Sample sample() {
    Sample best;
    std::uint64_t shortest = ~std::uint64_t{0};
    for (int attempt = 0; attempt < 8; ++attempt) {
        timespec now{};
        const std::uint64_t before = __rdtsc();
        ::clock_gettime(CLOCK_MONOTONIC_RAW, &now);
        const std::uint64_t after = __rdtsc();
        if (after - before < shortest) {
            shortest = after - before;
            best = {before + (after - before) / 2, static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec};
        }
    }
    return best;
}

} // namespace

std::uint64_t measure_tsc_khz() {
    std::array<double, 5> windows{};
    for (double& khz : windows) {
        const Sample start = sample();
        const timespec pause{.tv_sec = 0, .tv_nsec = 5'000'000};
        ::nanosleep(&pause, nullptr);
        const Sample end = sample();
        khz = static_cast<double>(end.tsc - start.tsc) * 1e6 /
              static_cast<double>(std::max<std::int64_t>(end.ns - start.ns, 1));
    }
    std::ranges::sort(windows);
    return static_cast<std::uint64_t>(std::llround(windows[2]));
}

#else

std::uint64_t measure_tsc_khz() {
    return 0;
}

#endif

} // namespace microvmc
