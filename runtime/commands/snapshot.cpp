#include "runtime/commands/machines.h"
#include "runtime/commands/session.h"
#include "runtime/commands/snapshots.h"

#include "compiler/values.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

constexpr const char* default_name = "latest";

struct SnapshotFlags {
    std::string name;
    bool replace = false;
    bool list = false;
    bool remove = false;
};

void list(const KnownMachine& machine) {
    std::vector<std::vector<std::string>> rows{{"SNAPSHOT", "TAKEN", "SIZE"}};
    for (const Snapshot& snapshot : list_snapshots(machine.state_dir)) {
        rows.push_back({snapshot_name(snapshot), time_text(snapshot.taken), used_text(snapshot.directory)});
    }
    if (rows.size() == 1) {
        print(fmt::format("{} has no snapshots.\n", machine.name));
    } else {
        print(render_table(rows, false));
    }
}

void remove(const KnownMachine& machine, const std::string& name) {
    const Snapshot snapshot = find_snapshot(machine.state_dir, name);
    remove_tree(snapshot.directory);
    print(fmt::format("{}  snapshot {} deleted\n", machine.name, snapshot_name(snapshot)));
}

void take(const KnownMachine& machine, const SnapshotFlags& flags) {
    const std::string name = flags.name.empty() ? default_name : flags.name;
    if (!is_name(name)) {
        throw Error(fmt::format("{} is no name for a snapshot", name),
                    "it begins with a letter and has at most 31 of a to z, 0 to 9 and -");
    }
    const std::string directory = snapshots_dir(machine.state_dir) + "/" + name;
    SnapshotOptions options;
    options.replace = flags.replace || flags.name.empty();
    if (!options.replace && ::access(directory.c_str(), F_OK) == 0) {
        throw Error(fmt::format("{} has a snapshot {} already", machine.name, name), "--replace takes it anew");
    }
    make_directories(snapshots_dir(machine.state_dir), 0700);
    sweep_snapshots(machine.state_dir);
    ProgressLine progress(STDERR_FILENO);
    progress.show(fmt::format("{}  saving", machine.name));
    const auto begin = std::chrono::steady_clock::now();
    take_snapshot(machine.runtime_dir, directory, options);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    progress.clear();
    print(fmt::format("{}  snapshot {} in {:.1f}s, {}\n", machine.name, name, seconds, used_text(directory)));
}

} // namespace

void add_snapshot(CLI::App& app, Session& session) {
    auto flags = std::make_shared<SnapshotFlags>();
    CLI::App* command = add_command(app, session, "snapshot", "Save a running machine: its memory and its volumes");
    command->footer("It stands still meanwhile. A machine that has mounted shares can't be saved.");
    add_machine_option(*command, session);
    command
        ->add_option("name", flags->name,
                     fmt::format("The snapshot's name (default: {}, in place of the one before)", default_name))
        ->type_name("NAME");
    command->add_flag("--replace", flags->replace, "In place of the one of that name");
    auto* list_flag = command->add_flag("-l,--list", flags->list, "Show those that there are");
    command->add_flag("--delete", flags->remove, "Delete the one of that name")->excludes(list_flag);
    add_lock_timeout(*command, session);
    command->callback([&session, flags] {
        const Directories where = directories();
        const KnownMachine machine = one_machine(session, where);
        if (flags->list) { return list(machine); }
        const FileLock lock = lock_project(session, where, machine.project);
        if (flags->remove) { return remove(machine, flags->name); }
        take(machine, *flags);
    });
}

} // namespace microvmc
