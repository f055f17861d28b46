#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <string>

namespace microvmc {

/// Adds what a guest told by its balloon of its memory to ControlStats::guest, of an object that has it by the names
/// that Firecracker and crosvm share; what isn't there, or isn't a number, is left out.
void add_guest_memory(const nlohmann::json& told, std::map<std::string, std::uint64_t>& guest);

} // namespace microvmc
