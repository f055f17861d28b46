#pragma once

#include "testkit/run.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc::testkit {

/// Which cases on which targets are wanted.
struct Selection {
    std::vector<std::string> filters; ///< one of them fits; none: all do
    std::size_t shard = 1;            ///< 1 to `shards`
    std::size_t shards = 1;
};

/// Whether a filter fits "ID@TARGET", such as "volumes[fs=ext4]@qemu:tcg": `*` and `?` stand for any text and any
/// character of the whole; without either, the filter is found anywhere in it.
bool fits(std::string_view filter, std::string_view name);

/// The combinations, by case and then by target; a case's `not_on` is left out. Shards are about as large as each
/// other, together they are everything, and each has what lies together, so that it shares boots. Pure.
std::vector<Combination> select(const Specs& specs, const std::vector<Target>& targets, const Selection& selection);

} // namespace microvmc::testkit
