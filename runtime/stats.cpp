#include "runtime/stats.h"

#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/machine_control.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <unistd.h>
#include <vector>

namespace microvmc {

namespace {

// Of /proc and /sys, whose files have no size.
std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::uint64_t> numbers_in(std::string_view text) {
    std::vector<std::uint64_t> numbers;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        numbers.push_back(static_cast<std::uint64_t>(parse_number(text.substr(0, end)).value_or(0)));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return numbers;
}

std::optional<InterfaceStats> interface_stats(const std::string& id) {
    const auto number = [&id](const char* name) -> std::optional<std::uint64_t> {
        std::string text = text_of(fmt::format("/sys/class/net/{}/statistics/{}", id, name));
        while (text.ends_with('\n')) { text.pop_back(); }
        const auto value = parse_number(text);
        return value ? std::optional(static_cast<std::uint64_t>(*value)) : std::nullopt;
    };
    const auto sent = number("rx_bytes"); // what the host receives
    if (!sent) { return std::nullopt; }
    return InterfaceStats{.received_bytes = number("tx_bytes").value_or(0),
                          .sent_bytes = *sent,
                          .received_packets = number("tx_packets").value_or(0),
                          .sent_packets = number("rx_packets").value_or(0)};
}

} // namespace

std::optional<ProcessStats> process_stats(pid_t pid) {
    const std::string text = text_of(fmt::format("/proc/{}/stat", pid));
    // PID (NAME) STATE ..., where NAME may have anything in it.
    const std::size_t name_end = text.rfind(") ");
    if (name_end == std::string::npos || text.size() < name_end + 4) { return std::nullopt; }
    // From the fourth field on: 14 and 15 are utime and stime, 20 the threads, 24 the pages that are resident.
    const std::vector<std::uint64_t> fields = numbers_in(std::string_view(text).substr(name_end + 4));
    if (fields.size() < 21) { return std::nullopt; }
    const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return ProcessStats{.cpu_ms = (fields[10] + fields[11]) * 1000 / ticks,
                        .resident_bytes = fields[20] * page,
                        .threads = static_cast<std::uint32_t>(fields[16])};
}

MachineStats machine_stats(const MachineStatus& status) {
    const VmPlan plan = plan_of(status);
    MachineStats stats;
    stats.vm = status.vm;
    stats.mem_mib = plan.mem_mib;
    stats.vmm = process_stats(status.vmm);
    try {
        stats.control = attach_control(status)->stats();
    } catch (const Error&) {} // the rest is worth showing
    for (std::size_t i = 0; i < std::min(plan.volumes.size(), stats.control.disks.size()); ++i) {
        stats.volumes.emplace(plan.volumes[i].name, stats.control.disks[i]);
    }
    for (const InterfacePlan& interface : plan.interfaces) {
        if (interface.id.empty()) { continue; }
        if (const auto counted = interface_stats(interface.id)) { stats.interfaces.emplace(interface.name, *counted); }
    }
    return stats;
}

void to_json(nlohmann::json& json, const MachineStats& stats) {
    json = {{"name", stats.vm}, {"mem-mib", stats.mem_mib}};
    if (stats.vmm) {
        json["vmm"] = {{"cpu-ms", stats.vmm->cpu_ms},
                       {"resident-bytes", stats.vmm->resident_bytes},
                       {"threads", stats.vmm->threads}};
    }
    if (stats.control.balloon_mib) { json["balloon-mib"] = *stats.control.balloon_mib; }
    if (!stats.control.guest.empty()) { json["guest"] = stats.control.guest; }
    for (const auto& [name, disk] : stats.volumes) {
        json["volumes"][name] = {{"reads", disk.reads},
                                 {"writes", disk.writes},
                                 {"flushes", disk.flushes},
                                 {"read-bytes", disk.read_bytes},
                                 {"written-bytes", disk.written_bytes}};
    }
    for (const auto& [name, counted] : stats.interfaces) {
        json["interfaces"][name] = {{"received-bytes", counted.received_bytes},
                                    {"sent-bytes", counted.sent_bytes},
                                    {"received-packets", counted.received_packets},
                                    {"sent-packets", counted.sent_packets}};
    }
}

} // namespace microvmc
