#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"
#include "testkit/case_run.h"
#include "testkit/groups.h"
#include "testkit/planning.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace microvmc::testkit {

/// What one worker process does: it boots a group's machines and carries its cases out one after the other. Or it goes
/// on with one case, whose machines are there.
struct Job {
    std::string project;
    Group group;
    Plan plan;                        ///< of the machines, for this project
    HostFacts facts;                  ///< that it was made with
    std::vector<std::uint16_t> ports; ///< that forwards got
    std::string scratch;              ///< the directory of the group's only case; empty: it has none
    std::vector<ImageCopy> copies;    ///< before they start
    std::string new_snapshot;         ///< where one goes that others may start from
    std::optional<CaseState> resumed; ///< how far the group's only case is
};

} // namespace microvmc::testkit
