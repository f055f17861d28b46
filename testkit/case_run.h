#pragma once

#include "testkit/attempt.h"
#include "testkit/machines.h"
#include "testkit/spec.h"
#include "testkit/timeline.h"
#include "testkit/verdict.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// How far a case is. It goes from process to process: volumes are read by another than the one that has the machines.
struct CaseState {
    std::size_t next = 0; ///< the step that comes
    Variables variables;  ///< axes and captures
    std::int64_t elapsed_ms = 0;
    std::int64_t boot_ms = 0;
    std::vector<TimelineEntry> timeline;
    std::set<std::string> up; ///< machines that ought to run
    std::optional<Plan> plan; ///< of the machines, when an `apply` changed them

    friend bool operator==(const CaseState&, const CaseState&) = default;
};
/// Of a case that was not begun. `scratch`: its directory; empty: it has none.
CaseState beginning(const Case& which, const std::string& scratch);
void to_json(nlohmann::json& json, const CaseState& state);
/// Throws nlohmann::json::exception.
void from_json(const nlohmann::json& json, CaseState& state);

/// What came of carrying a case on.
struct Carried {
    enum class Kind { finished, wants_volume } kind = Kind::finished;
    Verdict verdict; ///< finished
    Span span;       ///< what the verdict is about; unknown: the case as a whole
};

/// How long things may take.
struct Pace {
    std::int64_t timeout_ms = 0; ///< of the whole case
    int patience = 1;            ///< by how much a step's own time is multiplied, where guests are slow
};

/// Goes on with a case until it is finished or comes to a step that reads a volume. `state` says how far it came.
Carried carry_on(const Case& which, CaseState& state, Machines& machines, Timeline& timeline,
                 const std::string& directory, const Replan& replan, const Pace& pace);

/// Judges what a step gave: passed, with what it captures in `variables`; or how it differs.
Verdict judge(const Step& step, const Answer& answer, Variables& variables, const Plan& plan);

/// "step 4: ": steps are counted from 1.
std::string step_prefix(std::size_t index);

} // namespace microvmc::testkit
