#include "runtime/backends/guest_memory.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace microvmc {

namespace {

// Theirs (firecracker: src/firecracker/swagger/firecracker.yaml; crosvm: common/balloon_control/src/lib.rs), and ours.
constexpr std::pair<const char*, const char*> names[] = {
    {"total_memory", "total"},        {"free_memory", "free"},          {"available_memory", "available"},
    {"disk_caches", "caches"},        {"swap_in", "swapped-in"},        {"swap_out", "swapped-out"},
    {"major_faults", "major-faults"}, {"minor_faults", "minor-faults"},
};

} // namespace

void add_guest_memory(const nlohmann::json& told, std::map<std::string, std::uint64_t>& guest) {
    for (const auto& [theirs, ours] : names) {
        const auto found = told.find(theirs);
        if (found == told.end() || !found->is_number_unsigned()) { continue; }
        guest.emplace(ours, found->get<std::uint64_t>());
    }
}

} // namespace microvmc
