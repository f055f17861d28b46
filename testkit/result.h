#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a run of microvm-test came to: data that every report is made from. Times are milliseconds.

namespace microvmc::testkit {

enum class Outcome {
    passed,
    wrong,   ///< an answer was not the expected one
    panic,   ///< the guest's kernel panicked
    crash,   ///< the VMM died
    hang,    ///< nothing came within the time
    error,   ///< the case could not be carried out: the host's trouble, or the spec's
    skipped, ///< `message` is the reason
};

/// One column of the matrix: what cases are run on.
struct Target {
    std::string hypervisor; ///< a backend's name
    std::string accel;      ///< "kvm", "tcg"; empty when nothing of it works
    std::string kernel;     ///< the file given by --kernel; empty: what the machines say
    std::string program;    ///< absolute; empty: not installed
    std::string version;
    std::string unusable;     ///< why nothing can run on it; empty: usable
    bool interpreted = false; ///< KVM runs guests' instructions one by one in software: far slower than emulation

    /// "qemu:tcg", "qemu:tcg vmlinux-6.12": how it is named on the command line and in reports.
    [[nodiscard]] std::string name() const;
    friend bool operator==(const Target&, const Target&) = default;
};

struct TimelineEntry {
    std::int64_t at_ms = 0; ///< since the case began
    std::string text;       ///< "boot a", "step 3: guest sha256sum /data/blob", "expected 3, got 4"
    friend bool operator==(const TimelineEntry&, const TimelineEntry&) = default;
};

struct CaseResult {
    std::string spec;
    std::string name;   ///< Case::name
    std::string target; ///< Target::name()
    Outcome outcome = Outcome::passed;
    std::string message; ///< why not passed: "step 4: expected 3, got 4"; one line
    std::string where;   ///< the step's or case's place, "specs/volumes.toml:31:1"
    std::int64_t duration_ms = 0;
    std::int64_t boot_ms = 0; ///< of that, until its machines were up; 0: it got one that was up
    std::uint32_t attempt = 1;
    std::vector<std::string> proves; ///< capabilities; count only when passed
    /// Not passed only: what a person needs to see why.
    std::string console;                    ///< its last lines, each machine's under its name
    std::vector<std::string> command_lines; ///< exact and copy-and-paste-safe
    std::vector<TimelineEntry> timeline;
    std::string artifacts; ///< directory with logs, plans, command lines; empty: none was kept

    [[nodiscard]] std::string id() const { return name.empty() ? spec : spec + '[' + name + ']'; }
    friend bool operator==(const CaseResult&, const CaseResult&) = default;
};

/// A capability that a target's traits claim, and whether a spec proved it.
struct CoverageCell {
    std::string capability;
    std::string hypervisor;
    std::string support;            ///< "native", "bridged"
    std::vector<std::string> cases; ///< that passed and prove it; none: unproven
    std::string excuse;             ///< why this machine can't prove it; empty: none
    friend bool operator==(const CoverageCell&, const CoverageCell&) = default;
};

inline constexpr int report_version = 1;

struct RunReport {
    int version = report_version; ///< a change of meaning of the JSON raises it
    std::string program_version;  ///< microvm-test's
    std::string host;
    std::string host_summary; ///< "x86_64, TCG: KVM can't run cmpxchg16b"
    std::int64_t started = 0; ///< unix seconds
    std::int64_t duration_ms = 0;
    std::vector<Target> targets;
    std::vector<CaseResult> results; ///< in the order of the cases, those of one case in the order of the targets
    std::vector<CoverageCell> coverage;

    [[nodiscard]] std::size_t count(Outcome outcome) const;
    friend bool operator==(const RunReport&, const RunReport&) = default;
};

std::string_view to_string(Outcome outcome);

/// As JSON, for a pipe or a file; what is not UTF-8 in a text is U+FFFD there.
void to_json(nlohmann::json& json, const CaseResult& result);
/// Throws nlohmann::json::exception.
void from_json(const nlohmann::json& json, CaseResult& result);
void to_json(nlohmann::json& json, const RunReport& report);
/// Throws nlohmann::json::exception, also for another version.
void from_json(const nlohmann::json& json, RunReport& report);

/// The same, indented, keys in the order of the structs, a newline at its end: what --json prints.
std::string to_json_text(const RunReport& report);
/// Its JSON Schema (draft-07), made from the lists of members that to_json goes by.
std::string report_json_schema();

} // namespace microvmc::testkit
