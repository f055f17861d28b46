#pragma once

#include "testkit/progress.h"
#include "testkit/result.h"
#include "testkit/spec.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// What the command line says of a run.
struct RunOptions {
    std::size_t jobs = 0;             ///< boots at once; 0: by the host's cores and memory
    std::uint32_t repeat = 1;         ///< each combination this often; a result for each time
    bool fail_fast = false;           ///< nothing new is begun after the first that isn't passed or skipped
    std::int64_t timeout_ms = 0;      ///< of a case, instead of Case::timeout_ms; 0: that
    std::int64_t run_timeout_ms = 0;  ///< of the whole run; 0: none
    bool keep = false;                ///< machines and files of a case that didn't pass stay
    bool interactive = false;         ///< at a failure: stops, and enters the guest
    bool retry_failed = false;        ///< once more, in a boot of its own; CaseResult::attempt tells
    bool snapshots = true;            ///< isolated cases may start from a snapshot
    std::string artifacts;            ///< absolute; logs, plans and command lines of each case; empty: of none
    std::vector<std::string> require; ///< hypervisors whose cases fail where they would be skipped
};

/// A case on a target, by their places in Specs::cases and the list of targets.
struct Combination {
    std::size_t which_case = 0;
    std::size_t target = 0;
    friend bool operator==(const Combination&, const Combination&) = default;
};

/// Carries out the combinations, in an order of its own, and tells `progress`. What fails is in the report, also what
/// could not be begun; throws Error only when the host can't be worked on at all. A signal (SIGINT, SIGTERM) ends it
/// early: what was not begun is skipped, and nothing is left running.
RunReport run(const Specs& specs, const std::vector<Target>& targets, const std::vector<Combination>& combinations,
              const RunOptions& options, Progress& progress);

} // namespace microvmc::testkit
