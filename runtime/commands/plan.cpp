#include "runtime/commands/against.h"
#include "runtime/commands/inputs.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/session.h"

#include "compiler/render.h"
#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/lower.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

struct PlanFlags {
    std::string out;
    bool detailed_exitcode = false;
    bool commands = false;
    bool upgrade = false;
    std::string against;
    Selection selection;
};

std::string commands_text(const Pipeline& pipeline) {
    std::string text;
    for (const VmPlan& vm : pipeline.plan->vms) {
        for (const Child& child : commands(vm, pipeline.facts)) {
            text += fmt::format("# {} {}\n{}\n", vm.name, child.role, shell_quoted(child.argv));
        }
    }
    return text;
}

std::string plan_text(const Session& session, const Pipeline& pipeline, const std::string& against) {
    const std::string text =
        render_text(*pipeline.plan, *pipeline.changes, colour_on_stdout(session), terminal(STDOUT_FILENO).width);
    return against.empty() ? text : fmt::format("Against {}, whatever runs:\n\n{}", printable(against), text);
}

// False: what it is to be compared with has errors, which were shown.
bool take_against(Session& session, const PlanFlags& flags, const Pipeline& pipeline, PipelineOptions& options) {
    if (flags.against.empty() || !pipeline.config) { return true; }
    const std::string project = project_name(*pipeline.config, pipeline.sources, {session.project, flags.upgrade});
    options.against = machines_of(flags.against, session, project);
    return options.against.has_value();
}

} // namespace

void add_plan(CLI::App& app, Session& session) {
    auto flags = std::make_shared<PlanFlags>();
    CLI::App* command = add_command(app, session, "plan", "Show what apply would do, for review; changes nothing");
    command->add_option("target", session.targets, "A microvm.toml (default: here or above), or names of machines");
    command->add_flag("--json", session.json, "Print the plan and its changes as JSON");
    command->add_option("--out", flags->out, "Save the plan for apply")->type_name("FILE");
    command->add_option("--facts", session.facts_file, "Plan for the host whose facts these are (doctor --json)")
        ->type_name("FILE");
    command->add_flag("--detailed-exitcode", flags->detailed_exitcode, "Exit with 2 when apply would change something");
    command->add_flag("--commands", flags->commands, "Print the exact command lines of the hypervisors");
    command->add_flag("--upgrade", flags->upgrade, "Take the host's newest kernel instead of the pinned one");
    command
        ->add_option("--against", flags->against,
                     "Compare with another microvm.toml or plan (saved, or of --json) instead of what runs")
        ->type_name("FILE");
    add_selection(*command, flags->selection);
    command->callback([&session, flags] {
        if (!flags->against.empty() && !flags->out.empty()) {
            throw CLI::ValidationError("--out", "a plan made --against something else than what runs can't be applied");
        }
        PipelineOptions options;
        options.upgrade = flags->upgrade;
        options.only = vm_names(session);
        select(flags->selection, options);
        // Stays: taking a big project apart takes as long as writing it, and the process ends anyway.
        static Pipeline& pipeline = *new Pipeline(load_sources(session));
        if (!take_against(session, *flags, pipeline, options)) {
            session.status = exit_failure;
            return;
        }
        compile(pipeline, session, options);
        if (!report(pipeline, session)) {
            session.status = exit_failure;
            return;
        }
        if (!flags->out.empty()) { write_whole(absolute_path(flags->out), to_json_text(*pipeline.plan), 0600); }
        if (flags->commands) {
            print(commands_text(pipeline));
        } else if (session.json) {
            write_json(*pipeline.plan, *pipeline.changes, flags->against, print);
        } else {
            print(plan_text(session, pipeline, flags->against));
        }
        if (flags->detailed_exitcode && !pipeline.changes->empty()) { session.status = exit_differs; }
    });
}

} // namespace microvmc
