#pragma once

#include "testkit/groups.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace microvmc::testkit {

/// How much may run at once.
struct Capacity {
    std::size_t jobs = 1;
    std::uint64_t mem_mib = 0; ///< of all guests together
};

/// `jobs` as the user says, else one a core; memory that is free now, less what the host keeps for itself.
Capacity host_capacity(std::size_t jobs);

/// Pure. Which of `pending` may begin beside `running`: the first that fits. Nothing: none does. One that needs more
/// memory than there is gets all of it, alone. `waiting`: those that have stopped, and of which only what they have on
/// the host is left, until their images are read.
std::optional<std::size_t> next_group(const std::vector<Group>& pending, const std::vector<const Group*>& running,
                                      const std::vector<const Group*>& waiting, const Capacity& capacity);

} // namespace microvmc::testkit
