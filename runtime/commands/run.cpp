#include "runtime/commands/ends.h"
#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "compiler/document.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/lower.h"
#include "runtime/machine.h"
#include "runtime/observe.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace fs = std::filesystem;

namespace {

struct RunFlags {
    std::string kernel;
    std::vector<std::string> set;
    std::vector<std::string> command;
};

constexpr const char* project_prefix = "run-";

// A TOML basic string; JSON's escapes are a subset of TOML's, but for the solidus, which the library leaves alone.
std::string toml_string(const std::string& text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Without a file: the host's root read-only, the current directory shared, the command run in it.
SourceFile default_source() {
    const std::string here = fs::current_path().string();
    std::string text = "[vm.run]\nroot.host = true\nshutdown-timeout = 10\n"
                       // Not the host's own init: nothing but CMD, which the agent runs, is wanted.
                       "command = [\"sleep\", \"infinity\"]\n";
    if (here != "/") {
        text += fmt::format("shares.here = {{ source = {0}, mount-point = {0} }}\n", toml_string(here));
    }
    return {"<run>", here, text};
}

// What the flags say, as another file over the others: one that gives a VM's keys.
SourceFile flags_source(const RunFlags& flags, const std::string& vm) {
    std::string text = fmt::format("[vm.{}]\n", vm);
    if (!flags.kernel.empty()) { text += fmt::format("kernel = {}\n", toml_string(absolute_path(flags.kernel))); }
    for (const std::string& assignment : flags.set) { text += assignment + "\n"; }
    return {"<command line>", fs::current_path().string(), text};
}

// `K=V` as a line of TOML: a V that is no TOML value is meant as a string.
std::string assignment_line(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        throw Error(fmt::format("--set {}: not KEY=VALUE", text), "for example: --set mem=1GiB");
    }
    const std::string key = text.substr(0, equals);
    const std::string value = text.substr(equals + 1);
    if (key.find_first_of("\n\r[]{}#") != std::string::npos || value.find_first_of("\n\r") != std::string::npos) {
        throw Error(fmt::format("--set {}: not KEY=VALUE on one line", text));
    }
    Diagnostics trial;
    Sources sources;
    sources.files.push_back({"--set", "/", "x = " + value});
    const bool is_toml = parse(sources, 0, trial).has_value() && !trial.has_errors();
    return key + " = " + (is_toml ? value : toml_string(value));
}

// The machine to run: the one named, or the only one.
std::string chosen_vm(const Session& session, const Sources& sources) {
    const std::vector<std::string> named = vm_names(session);
    if (named.size() > 1) { throw Error("run takes one machine"); }
    if (named.size() == 1) { return named.front(); }
    Pipeline pipeline = load_sources(sources);
    if (!report(pipeline, session)) { throw Error("not run"); }
    if (pipeline.config->vms.size() != 1) { throw Error("which machine?", "name one: microvmc run FILE VM"); }
    return pipeline.config->vms.front().name.value;
}

// Ephemeral machines of commands that were killed: those whose machine isn't running any more.
void sweep_dead_runs(const Directories& where) {
    for (const std::string& project : known_projects(where.state)) {
        if (!project.starts_with(project_prefix)) { continue; }
        const pid_t pid = std::atoi(project.c_str() + std::string_view(project_prefix).size());
        if (pid <= 0 || ::kill(pid, 0) == 0 || errno != ESRCH) { continue; }
        for (const std::string& vm : observed_names(where.state, where.runtime, project)) {
            const std::string runtime = project_runtime_dir(where.runtime, project) + "/" + vm;
            stop_machine(runtime, std::chrono::milliseconds(0), StopKind::kill);
        }
        remove_tree(project_runtime_dir(where.runtime, project));
        remove_tree(project_state_dir(where.state, project));
    }
}

// Removes what a run made, whatever happened.
class Ephemeral {
public:
    Ephemeral(std::string state, std::string runtime, std::string machine)
        : state_(std::move(state)), runtime_(std::move(runtime)), machine_(std::move(machine)) {}
    ~Ephemeral() {
        try {
            stop_machine(machine_, std::chrono::milliseconds(0), StopKind::kill);
            remove_tree(runtime_);
            remove_tree(state_);
        } catch (const std::exception&) {
            // The next run sweeps it.
        }
    }
    Ephemeral(const Ephemeral&) = delete;
    Ephemeral& operator=(const Ephemeral&) = delete;

private:
    std::string state_;   // of the project
    std::string runtime_; // of the project
    std::string machine_; // runtime directory of its only machine
};

int run(Session& session, const RunFlags& flags) {
    const Directories where = directories();
    sweep_dead_runs(where);
    Sources sources;
    const bool has_file = !classify(session).files.empty() || !vm_names(session).empty();
    if (has_file) {
        for (const std::string& path : source_paths(session)) { sources.files.push_back(read_source(path)); }
    } else {
        sources.files.push_back(default_source());
    }
    const std::string vm_name = chosen_vm(session, sources);
    if (!flags.kernel.empty() || !flags.set.empty()) { sources.files.push_back(flags_source(flags, vm_name)); }

    session.project = fmt::format("{}{}", project_prefix, ::getpid());
    Pipeline pipeline = load_sources(std::move(sources));
    PipelineOptions options;
    options.only = {vm_name};
    compile(pipeline, session, options);
    if (!report(pipeline, session)) { return exit_never_ran; }

    const VmPlan& vm = *std::find_if(pipeline.plan->vms.begin(), pipeline.plan->vms.end(),
                                     [&vm_name](const VmPlan& v) { return v.name == vm_name; });
    const Ephemeral ephemeral(project_state_dir(where.state, session.project),
                              project_runtime_dir(where.runtime, session.project), vm.runtime_dir);
    // What it depends on is not run with it, and it is run once.
    std::erase_if(pipeline.changes->vms, [&vm_name](const VmChange& change) { return change.vm != vm_name; });
    std::vector<Action> actions = lower(*pipeline.plan, *pipeline.changes, pipeline.observed, pipeline.facts);
    for (Action& action : actions) {
        if (auto* start = std::get_if<StartMachine>(&action)) { start->launch.restart.policy = "no"; }
    }
    std::erase_if(actions, [](const Action& action) { return std::holds_alternative<AwaitReady>(action); });
    perform_here(actions);

    if (flags.command.empty()) {
        attach_console(vm.runtime_dir);
    } else {
        const AwaitOutcome up =
            await_machine(vm.runtime_dir, Goal::agent, std::chrono::milliseconds(vm.startup_timeout_ms));
        if (up.kind != AwaitOutcome::Kind::reached) {
            complain(console_excerpt(vm.name, vm.state_dir));
            throw Error(up.end ? fmt::format("the guest {} before it could run the command", describe(*up.end))
                               : fmt::format("the guest didn't start within {}s", vm.startup_timeout_ms / 1000));
        }
        ExecRequest request;
        request.argv = flags.command;
        request.workdir = has_file ? vm.workdir : fs::current_path().string();
        request.tty = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
        const int status = exec_in_machine(vm.runtime_dir, request);
        stop_machine(vm.runtime_dir, std::chrono::milliseconds(vm.shutdown_timeout_ms));
        return status;
    }
    const AwaitOutcome outcome = await_machine(vm.runtime_dir, Goal::ready, std::chrono::milliseconds(0));
    const std::optional<End> end = outcome.end ? outcome.end : last_end(vm.runtime_dir);
    if (!end) { return exit_ok; } // detached: it is stopped on the way out
    if (end->kind != End::Kind::exited) { complain(fmt::format("{} {}\n", vm.name, describe(*end))); }
    return exit_of(*end);
}

} // namespace

void add_run(CLI::App& app, Session& session) {
    auto flags = std::make_shared<RunFlags>();
    CLI::App* command =
        add_command(app, session, "run", "Run a machine in the foreground until it ends, and leave nothing behind");
    command->footer("Without a file: the host's root read-only, the current directory shared, and CMD run in it.\n"
                    "The exit status: " +
                    std::string(end_statuses) + ".");
    command->add_option("target", session.targets, "A microvm.toml and the machine's name; none: see below");
    command->add_option("--kernel", flags->kernel, "Boot this kernel")->type_name("FILE");
    command->add_option("--set", flags->set, "Set a key of the machine: --set mem=1GiB")
        ->allow_extra_args(false)
        ->type_name("K=V");
    command->callback([&session, flags] {
        flags->command = session.after_dashes;
        session.failure = exit_never_ran;
        for (std::string& assignment : flags->set) { assignment = assignment_line(assignment); }
        session.status = run(session, *flags);
    });
}

} // namespace microvmc
