#pragma once

#include <CLI/CLI.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace microvmc {

/// Exit statuses (the language's "Command line").
enum Exit : int {
    exit_ok = 0,
    exit_failure = 1,
    exit_differs = 2,
    exit_timeout = 3,
    exit_usage = 64,
    exit_never_ran = 125,
    exit_killed = 137, ///< as a shell has it of SIGKILL
    exit_crashed = 254,
    exit_panic = 255,
};

/// What all commands share: their common flags, and the exit status that main returns.
struct Session {
    std::vector<std::string> files;        ///< -f, in order
    std::string project;                   ///< -p
    std::vector<std::string> targets;      ///< positionals: files and names of VMs
    std::vector<std::string> after_dashes; ///< what stood behind `--`: a command for the guest
    bool json = false;
    bool no_color = false;
    int lock_timeout_s = 10;
    std::string facts_file; ///< --facts
    int status = exit_ok;
    int failure = exit_failure; ///< what an Error exits with; `run` has a status of its own for that

    [[nodiscard]] std::chrono::milliseconds lock_timeout() const { return std::chrono::seconds(lock_timeout_s); }
};

/// A command on a microvm.toml, with the flags that all of those have: --file, -p, --no-color. `file_flags` is what
/// --file is called there: `logs -f` follows, as everywhere.
CLI::App* add_command(CLI::App& app, Session& session, const std::string& name, const std::string& description,
                      const std::string& file_flags = "-f,--file");

/// --lock-timeout, for commands that change something.
void add_lock_timeout(CLI::App& command, Session& session);

/// Writes to standard output whole; throws Error when nobody reads it any more.
void print(std::string_view text);
/// Writes to standard error.
void complain(std::string_view text);
[[nodiscard]] bool colour_on_stdout(const Session& session);
[[nodiscard]] bool colour_on_stderr(const Session& session);

// One a file; each adds its command, whose callback sets session.status or throws.
void add_check(CLI::App& app, Session& session);
void add_plan(CLI::App& app, Session& session);
void add_apply(CLI::App& app, Session& session);
void add_status(CLI::App& app, Session& session);
void add_start(CLI::App& app, Session& session);
void add_stop(CLI::App& app, Session& session);
void add_destroy(CLI::App& app, Session& session);
void add_pause(CLI::App& app, Session& session);
void add_resume(CLI::App& app, Session& session);
void add_balloon(CLI::App& app, Session& session);
void add_snapshot(CLI::App& app, Session& session);
void add_restore(CLI::App& app, Session& session);
void add_stats(CLI::App& app, Session& session);
void add_console(CLI::App& app, Session& session);
void add_logs(CLI::App& app, Session& session);
void add_show(CLI::App& app, Session& session);
void add_run(CLI::App& app, Session& session);
void add_doctor(CLI::App& app, Session& session);
void add_hypervisors(CLI::App& app, Session& session);
void add_explain(CLI::App& app, Session& session);
void add_init(CLI::App& app, Session& session);
void add_schema(CLI::App& app, Session& session);
void add_completion(CLI::App& app, Session& session);
void add_cp(CLI::App& app, Session& session);
void add_events(CLI::App& app, Session& session);
void add_exec(CLI::App& app, Session& session);
void add_restart(CLI::App& app, Session& session);
void add_wait(CLI::App& app, Session& session);

} // namespace microvmc
