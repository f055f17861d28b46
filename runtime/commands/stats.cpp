#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/text.h"
#include "runtime/stats.h"
#include "runtime/terminal.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace microvmc {

namespace {

std::string mib(std::uint64_t bytes) {
    return fmt::format("{}MiB", bytes >> 20U);
}

std::string seconds(std::uint64_t ms) {
    return fmt::format("{}.{}s", ms / 1000, ms % 1000 / 100);
}

std::vector<std::string> row(const MachineStats& stats) {
    const auto said = [&stats](const char* key) {
        const auto found = stats.control.guest.find(key);
        return found == stats.control.guest.end() ? std::string("-") : mib(found->second);
    };
    std::uint64_t read = 0;
    std::uint64_t written = 0;
    for (const auto& [name, disk] : stats.volumes) {
        read += disk.read_bytes;
        written += disk.written_bytes;
    }
    return {stats.vm,
            stats.vmm ? seconds(stats.vmm->cpu_ms) : "-",
            format_size(stats.mem_mib),
            stats.vmm ? mib(stats.vmm->resident_bytes) : "-",
            stats.control.balloon_mib ? format_size(*stats.control.balloon_mib) : "-",
            said("free"),
            said("available"),
            stats.volumes.empty() ? "-" : mib(read),
            stats.volumes.empty() ? "-" : mib(written)};
}

} // namespace

void add_stats(CLI::App& app, Session& session) {
    CLI::App* command = add_command(app, session, "stats", "Show what running machines use: processor, memory, disks");
    command->footer("FREE and AVAILABLE are what the guest says, when it has a balloon.");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command->add_flag("--json", session.json, "Print JSON");
    command->callback([&session] {
        nlohmann::json machines = nlohmann::json::array();
        std::vector<std::vector<std::string>> rows{
            {"VM", "CPU", "MEM", "RESIDENT", "BALLOON", "FREE", "AVAILABLE", "READ", "WRITTEN"}};
        for (const KnownMachine& machine : known_machines(session, directories())) {
            const auto status = machine_status(machine.runtime_dir);
            if (!status) { continue; }
            const MachineStats stats = machine_stats(*status);
            machines.push_back(stats);
            rows.push_back(row(stats));
        }
        if (session.json) {
            print(nlohmann::json{{"version", 1}, {"vms", machines}}.dump(2) + "\n");
        } else if (machines.empty()) {
            print("Nothing runs.\n");
        } else {
            print(render_table(rows, colour_on_stdout(session)));
        }
    });
}

} // namespace microvmc
