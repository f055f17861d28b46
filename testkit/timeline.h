#pragma once

#include "testkit/result.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace microvmc::testkit {

using Clock = std::chrono::steady_clock;

/// What happened in a case, and when; it goes on where an earlier process of the same case left off.
class Timeline {
public:
    explicit Timeline(std::int64_t already_ms = 0, std::vector<TimelineEntry> entries = {})
        : begin_(Clock::now() - std::chrono::milliseconds(already_ms)), entries_(std::move(entries)) {}

    void add(std::string text) { entries_.push_back({elapsed_ms(), std::move(text)}); }
    [[nodiscard]] std::int64_t elapsed_ms() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin_).count();
    }
    [[nodiscard]] const std::vector<TimelineEntry>& entries() const { return entries_; }

private:
    Clock::time_point begin_;
    std::vector<TimelineEntry> entries_;
};

} // namespace microvmc::testkit
