#pragma once

#include "runtime/backend.h"
#include "runtime/machine.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <sys/types.h>

namespace microvmc {

/// What the host's kernel counts of a process; proc(5).
struct ProcessStats {
    std::uint64_t cpu_ms = 0;         ///< user and system
    std::uint64_t resident_bytes = 0; ///< shared pages included
    std::uint32_t threads = 0;
};
/// Nothing when there is no such process.
std::optional<ProcessStats> process_stats(pid_t pid);

/// What a tap has carried, as its guest sees it.
struct InterfaceStats {
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_packets = 0;
    std::uint64_t sent_packets = 0;
};

/// A running machine's numbers.
struct MachineStats {
    std::string vm;
    std::uint64_t mem_mib = 0;
    std::optional<ProcessStats> vmm;
    ControlStats control;
    std::map<std::string, ControlStats::Disk> volumes; ///< by name
    std::map<std::string, InterfaceStats> interfaces;  ///< of those with a tap, by name
};
/// Throws Error when its plan can't be read. A VMM that doesn't answer leaves its numbers out.
MachineStats machine_stats(const MachineStatus& status);

void to_json(nlohmann::json& json, const MachineStats& stats);

} // namespace microvmc
