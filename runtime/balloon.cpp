#include "runtime/balloon.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/machine_control.h"

#include <fmt/format.h>

#include <thread>

namespace microvmc {

namespace {

constexpr std::chrono::milliseconds interval{20};

} // namespace

void require_balloon(const VmPlan& plan) {
    require_capability(plan, "balloon");
    if (plan.balloon.mode != BalloonPlan::Mode::off) { return; }
    throw Error(fmt::format("{} has no balloon", plan.name), "balloon = true gives it one, at its next start");
}

void set_balloon(Control& control, std::uint64_t mib, std::chrono::milliseconds timeout,
                 const std::function<void(std::uint64_t)>& told) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    control.set_balloon(mib);
    for (;;) {
        const std::uint64_t now = control.balloon_mib();
        if (now == mib) { return; }
        if (told) { told(now); }
        if (std::chrono::steady_clock::now() >= deadline) {
            throw TimeoutError(fmt::format("the balloon has {} after {}s, not {}", format_size(now),
                                           timeout.count() / 1000, format_size(mib)),
                               "the guest goes on towards it; it may need what is missing, or have no driver");
        }
        std::this_thread::sleep_for(interval);
    }
}

} // namespace microvmc
