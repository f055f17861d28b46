#pragma once

#include "testkit/progress.h"
#include "testkit/result.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace microvmc::testkit {

using Clock = std::chrono::steady_clock;

/// Cases of a spec on a target: how many there are, and how they went so far.
struct Count {
    std::size_t planned = 0;
    std::size_t running = 0;
    std::size_t passed = 0;
    std::size_t failed = 0; ///< whatever their outcome
    std::size_t skipped = 0;
    std::int64_t duration_ms = 0; ///< of those that are done

    [[nodiscard]] std::size_t done() const { return passed + failed + skipped; }
    [[nodiscard]] std::size_t total() const { return planned < done() + running ? done() + running : planned; }
    void add(const Count& other);
};

/// A run as it stands, as progress is told it.
struct Tally {
    std::vector<std::string> targets; ///< names, the columns
    struct Spec {
        std::string name;
        std::vector<Count> counts; ///< one a target
    };
    std::vector<Spec> specs; ///< the rows, in the order in which they come first
    struct Running {
        Planned which;
        Clock::time_point since;
    };
    std::vector<Running> running; ///< oldest first
    Clock::time_point begun;

    void begin(const std::vector<Target>& all, const std::vector<Planned>& cases, Clock::time_point now);
    void started(const Planned& which, Clock::time_point now);
    void finished(const CaseResult& result);
    [[nodiscard]] Count sum() const;

private:
    Count& count_of(const std::string& spec, const std::string& target);
};

/// Of a whole run.
Tally tally_of(const RunReport& report);

} // namespace microvmc::testkit
