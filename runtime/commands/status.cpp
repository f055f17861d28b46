#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"

#include "compiler/plan.h"
#include "compiler/text.h"
#include "runtime/files.h"
#include "runtime/launch.h"
#include "runtime/machine.h"
#include "runtime/machine_control.h"
#include "runtime/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <chrono>

namespace microvmc {

namespace {

std::string age(std::int64_t seconds) {
    if (seconds < 60) { return fmt::format("{}s", seconds); }
    if (seconds < 3600) { return fmt::format("{}m{:02}s", seconds / 60, seconds % 60); }
    if (seconds < 86400) { return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60); }
    return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string forwards_text(const VmPlan& plan) {
    std::vector<std::string> all;
    for (const InterfacePlan& interface : plan.interfaces) {
        for (const ForwardPlan& forward : interface.forwards) {
            all.push_back(fmt::format("{}:{} -> {}/{}", forward.host_address, forward.host_port, forward.guest_port,
                                      forward.proto));
        }
    }
    return fmt::format("{}", fmt::join(all, ", "));
}

// What no guest and no user means to happen.
bool is_failed(const End& end) {
    switch (end.kind) {
    case End::Kind::panic:
    case End::Kind::vmm_crash:
    case End::Kind::helper_crash:
    case End::Kind::start_failed: return true;
    case End::Kind::exited:
    case End::Kind::poweroff:
    case End::Kind::reboot:
    case End::Kind::killed:
    case End::Kind::timed_out: return false;
    }
    return false;
}

// Whether its VMM says that it stands still. One that says nothing doesn't keep us from showing the rest.
bool is_paused(const MachineStatus& status) {
    try {
        return attach_control(status)->paused();
    } catch (const std::exception&) { return false; }
}

// In a word, of a machine that has a supervisor.
std::string_view health_of(const MachineStatus& status) {
    switch (status.state) {
    case MachineState::ready: return status.agent ? "ok" : "no answer";
    case MachineState::starting:
    case MachineState::running: return "not ready";
    case MachineState::stopping: return "stopping";
    case MachineState::restarting: return "down";
    }
    return "";
}

// What one machine is, as JSON; the table is made from it.
nlohmann::json machine_json(const KnownMachine& machine) {
    nlohmann::json json{{"name", machine.name}, {"state", "stopped"}};
    if (const auto running = machine_status(machine.runtime_dir)) {
        json["state"] = is_paused(*running) ? "paused" : to_string(running->state);
        json["vmm"] = running->vmm;
        json["supervisor"] = running->supervisor;
        json["started"] = running->started;
        json["agent"] = running->agent;
        json["health"] = health_of(*running);
        json["reboots"] = running->reboots;
        json["restarts"] = running->restarts;
        if (!running->waiting_for.empty()) { json["waiting-for"] = running->waiting_for; }
        if (running->last_end) { json["last-end"] = *running->last_end; }
        json["plan"] = running->plan;
        return json;
    }
    const std::string end_file = machine.state_dir + "/end.json";
    if (const auto ended = read_recorded_end(end_file)) {
        if (is_failed(ended->end)) { json["state"] = "failed"; }
        json["end"] = ended->end;
        if (const auto written = file_identity(end_file)) { json["ended"] = written->mtime_ns / 1'000'000'000; }
    }
    if (const auto record = read_file(machine.state_dir + "/plan.json")) {
        json["plan"] = nlohmann::json::parse(*record);
    }
    return json;
}

std::vector<std::string> row(const nlohmann::json& machine) {
    std::string since;
    for (const char* moment : {"started", "ended"}) {
        if (!machine.contains(moment)) { continue; }
        const auto now =
            std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
        since = age(std::max<std::int64_t>(0, now.count() - machine[moment].get<std::int64_t>()));
    }
    const std::string health = machine.value("health", "");
    const std::string restarts = machine.contains("restarts") ? machine["restarts"].dump() : "";
    std::vector<std::string> cells{machine["name"], machine["state"], since, health, restarts};
    std::string last;
    if (machine.contains("plan")) {
        const VmPlan plan = machine["plan"].get<VmPlan>();
        cells.push_back(fmt::format("{} {}", plan.hypervisor, plan.accel));
        cells.push_back(fmt::format("{}", plan.vcpu));
        cells.push_back(fmt::format("{}MiB", plan.mem_mib));
        last = forwards_text(plan);
    } else {
        cells.insert(cells.end(), 3, "");
    }
    if (machine.contains("waiting-for")) {
        last = "waiting for " + printable(machine["waiting-for"].get<std::string>());
    }
    if (machine.contains("end")) { last = printable(describe(machine["end"].get<End>())); }
    cells.push_back(std::move(last));
    return cells;
}

} // namespace

void add_status(CLI::App& app, Session& session) {
    CLI::App* command =
        add_command(app, session, "status", "Show the machines of a project, whether they run, and how they ended");
    command->add_option("vm", session.targets, "A microvm.toml, or names of machines (default: all)");
    command->add_flag("--json", session.json, "Print JSON");
    command->callback([&session] {
        const Directories where = directories();
        nlohmann::json machines = nlohmann::json::array();
        std::vector<std::vector<std::string>> rows{
            {"VM", "STATE", "SINCE", "HEALTH", "RESTARTS", "HYPERVISOR", "VCPU", "MEM", ""}};
        for (const KnownMachine& machine : known_machines(session, where)) {
            machines.push_back(machine_json(machine));
            rows.push_back(row(machines.back()));
        }
        if (session.json) {
            print(nlohmann::json{{"version", 1}, {"vms", machines}}.dump(2) + "\n");
        } else if (machines.empty()) {
            print("Nothing was applied yet.\n");
        } else {
            print(render_table(rows, colour_on_stdout(session)));
        }
    });
}

} // namespace microvmc
