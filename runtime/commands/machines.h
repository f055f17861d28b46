#pragma once

#include "compiler/observed.h"
#include "runtime/commands/session.h"
#include "runtime/file_lock.h"
#include "runtime/launch.h"
#include "runtime/paths.h"

#include <optional>
#include <string>
#include <vector>

namespace microvmc {

/// A machine that was applied before, found without its microvm.toml.
struct KnownMachine {
    std::string project;
    std::string name;
    std::string state_dir;
    std::string runtime_dir;
};

/// The machines that a command names, of the session's project: those named, or all of it when none is. Throws Error
/// for a name that was never applied, with those that were.
std::vector<KnownMachine> known_machines(const Session& session, const Directories& directories);

/// The machines of all projects that are to be started with the host (`autostart`), by project.
std::vector<std::vector<KnownMachine>> autostarted_machines(const Directories& directories);

/// Exactly one of them: the one named, or the only one there is. Throws Error otherwise.
KnownMachine one_machine(const Session& session, const Directories& directories);

/// The positional "vm" of a command on one machine, which others follow: a name, or a microvm.toml with one machine.
void add_machine_option(CLI::App& command, Session& session);

/// Keeps every other command that changes the project out while it lives. Makes the project's state directory.
FileLock lock_project(const Session& session, const Directories& directories, const std::string& project);

/// Has the supervisor of a machine that runs executed anew when another program is installed; says that it was, or why
/// it wasn't. A machine that can't have it goes on as it was: that is a note, not an error.
void upgrade_supervisor_of(const std::string& vm, const std::string& runtime_dir);

/// The last `lines` lines of a file; empty when it can't be read.
std::string tail(const std::string& path, std::size_t lines);

/// "  web | line" for each of the console's last lines: what an error message shows of a guest that failed.
std::string console_excerpt(const std::string& vm, const std::string& state_dir);

} // namespace microvmc
