#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What a supervisor is told: machine.json in the machine's runtime directory. Written by lower, read by the supervisor,
// which knows no hypervisor: everything it needs is here.

namespace microvmc {

/// A process that the supervisor starts and whose death it notices.
struct Child {
    std::string role; ///< "vmm", "virtiofsd"
    std::vector<std::string> argv;
    bool console = false; ///< its stdin and stdout are the machine's pty; else /dev/null and the log
    /// A Unix socket that must accept connections before the next child starts; empty: none.
    std::string await_socket;

    friend bool operator==(const Child&, const Child&) = default;
};

/// Where the guest's agent answers.
struct AgentChannel {
    enum class Kind { none, unix_stream } kind = Kind::none;
    std::string socket; ///< that the VMM listens on; the supervisor connects, retrying

    friend bool operator==(const AgentChannel&, const AgentChannel&) = default;
};

struct Launch {
    int version = 1;
    std::string project;
    std::string vm;
    std::vector<Child> children; ///< in start order, the VMM last; ended in reverse
    AgentChannel agent;
    std::string ready_kind; ///< ReadyPlan's kind by name
    std::string ready_text; ///< console
    int ready_status = 0;   ///< exit
    std::int64_t startup_timeout_ms = 150'000;
    std::int64_t shutdown_timeout_ms = 60'000;
    std::string runtime_dir; ///< lock, control.sock, machine.json, status.json
    std::string console_log; ///< <state>/console.log
    std::string vmm_log;     ///< <state>/vmm.log: stderr of the children, and the supervisor's own lines
    std::string end_file;    ///< <state>/end.json: how it ended, written whole
    nlohmann::json plan;     ///< the VmPlan, not interpreted by the supervisor; `status` gives it back

    friend bool operator==(const Launch&, const Launch&) = default;
};

void to_json(nlohmann::json& json, const Launch& launch);
void from_json(const nlohmann::json& json, Launch& launch);

/// How a machine ended.
struct End {
    enum class Kind { exited, poweroff, reboot, panic, vmm_crash, killed, timed_out, start_failed } kind = Kind::exited;
    int status = 0;     ///< exited: the main process's; vmm_crash: the VMM's wait status as a shell shows it
    std::string detail; ///< "kvm: ...", the last line that says why
};
void to_json(nlohmann::json& json, const End& end);
void from_json(const nlohmann::json& json, End& end);

} // namespace microvmc
