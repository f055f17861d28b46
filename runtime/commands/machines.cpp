#include "runtime/commands/machines.h"

#include "compiler/text.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/machine.h"
#include "runtime/observe.h"
#include "runtime/terminal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

namespace microvmc {

namespace {

constexpr std::size_t excerpt_lines = 12;
constexpr std::streamoff tail_bytes = 64 * 1024;

} // namespace

std::vector<KnownMachine> known_machines(const Session& session, const Directories& directories) {
    const std::string project = project_name(session);
    const std::vector<std::string> names = observed_names(directories.state, directories.runtime, project);
    const std::vector<std::string> wanted = classify(session).vms;
    for (const std::string& name : wanted) {
        if (std::find(names.begin(), names.end(), name) != names.end()) { continue; }
        throw Error(fmt::format("{} has no machine {}", project, printable(name)),
                    names.empty() ? fmt::format("nothing of {} was applied yet", project)
                                  : fmt::format("it has {}", fmt::join(names, ", ")));
    }
    std::vector<KnownMachine> machines;
    for (const std::string& name : wanted.empty() ? names : wanted) {
        machines.push_back({project, name, project_state_dir(directories.state, project) + "/" + name,
                            project_runtime_dir(directories.runtime, project) + "/" + name});
    }
    return machines;
}

std::vector<std::vector<KnownMachine>> autostarted_machines(const Directories& directories) {
    std::vector<std::vector<KnownMachine>> projects;
    for (const std::string& project : known_projects(directories.state)) {
        std::vector<KnownMachine> machines;
        for (const ObservedVm& vm : observe(directories.state, directories.runtime, project).vms) {
            if (!vm.plan || !vm.plan->autostart || !vm.plan->enabled) { continue; }
            machines.push_back({project, vm.name, project_state_dir(directories.state, project) + "/" + vm.name,
                                project_runtime_dir(directories.runtime, project) + "/" + vm.name});
        }
        if (!machines.empty()) { projects.push_back(std::move(machines)); }
    }
    return projects;
}

KnownMachine one_machine(const Session& session, const Directories& directories) {
    const std::vector<KnownMachine> machines = known_machines(session, directories);
    if (machines.empty()) {
        throw Error(fmt::format("nothing of {} was applied yet", project_name(session)), "microvmc apply starts it");
    }
    if (machines.size() > 1) {
        std::vector<std::string> names;
        for (const KnownMachine& machine : machines) { names.push_back(machine.name); }
        throw Error("which machine?", fmt::format("name one of {}", fmt::join(names, ", ")));
    }
    return machines.front();
}

void add_machine_option(CLI::App& command, Session& session) {
    // As text: a list would take all positionals.
    command
        .add_option_function<std::string>(
            "vm", [&session](const std::string& vm) { session.targets = {vm}; }, "The machine")
        ->required();
}

FileLock lock_project(const Session& session, const Directories& directories, const std::string& project) {
    prepare_directories(directories);
    const std::string path = project_state_dir(directories.state, project);
    make_directories(path, 0700);
    return {path + "/.lock", session.lock_timeout(), project};
}

void upgrade_supervisor_of(const std::string& vm, const std::string& runtime_dir) {
    try {
        const UpgradeOutcome outcome = upgrade_supervisor(runtime_dir, supervisor_path());
        switch (outcome.kind) {
        case UpgradeOutcome::Kind::not_running:
        case UpgradeOutcome::Kind::current: return;
        case UpgradeOutcome::Kind::upgraded: print(fmt::format("{}  supervisor upgraded\n", vm)); return;
        case UpgradeOutcome::Kind::later:
            complain(fmt::format("{}  its supervisor is not upgraded yet: {}\n", vm, outcome.why));
            return;
        }
    } catch (const Error& error) {
        complain(fmt::format("{}  its supervisor is not upgraded: {}\n", vm, error.what()));
    }
}

std::string tail(const std::string& path, std::size_t lines) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) { return {}; }
    const std::streamoff size = file.tellg();
    file.seekg(std::max<std::streamoff>(0, size - tail_bytes));
    std::string text{std::istreambuf_iterator<char>(file), {}};
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) { text.pop_back(); }
    std::size_t start = text.size();
    for (std::size_t i = 0; i < lines && start != std::string::npos && start > 0; ++i) {
        start = text.rfind('\n', start - 1);
    }
    return start == std::string::npos ? text : text.substr(start == 0 ? 0 : start + 1);
}

std::string console_excerpt(const std::string& vm, const std::string& state_dir) {
    const std::string text = tail(state_dir + "/console.log", excerpt_lines);
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string line = text.substr(at, end - at);
        while (!line.empty() && line.back() == '\r') { line.pop_back(); }
        out += fmt::format("  {} | {}\n", vm, printable(line));
        at = end + 1;
    }
    return out;
}

} // namespace microvmc
