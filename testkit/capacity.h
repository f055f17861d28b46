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
/// memory than there is gets all of it, alone.
std::optional<std::size_t> next_group(const std::vector<Group>& pending, const std::vector<const Group*>& running,
                                      const Capacity& capacity);

} // namespace microvmc::testkit
