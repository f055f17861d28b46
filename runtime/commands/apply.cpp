#include "runtime/commands/machines.h"
#include "runtime/commands/perform.h"
#include "runtime/commands/pipeline.h"
#include "runtime/commands/saved_plan.h"
#include "runtime/commands/session.h"

#include "compiler/render.h"
#include "runtime/commands/inputs.h"
#include "runtime/error.h"
#include "runtime/initramfs_cache.h"
#include "runtime/lower.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

struct ApplyFlags {
    bool yes = false;
    bool no_wait = false;
    bool upgrade = false;
};

bool is_disruptive(const Changes& changes) {
    return std::any_of(changes.vms.begin(), changes.vms.end(), [](const VmChange& change) {
        switch (change.kind) {
        case ChangeKind::restart:
        case ChangeKind::stop:
        case ChangeKind::destroy: return true;
        case ChangeKind::none:
        case ChangeKind::create:
        case ChangeKind::start:
        case ChangeKind::in_place:
        case ChangeKind::update: return false;
        }
        return true;
    });
}

// One line a machine that was started, for people: what it is now, and where it answers.
std::string outcome_line(const VmPlan& vm, bool waited, double seconds) {
    std::string line =
        waited ? fmt::format("{}  ready in {:.1f}s", vm.name, seconds) : fmt::format("{}  started", vm.name);
    for (const InterfacePlan& interface : vm.interfaces) {
        for (const ForwardPlan& forward : interface.forwards) {
            line += fmt::format("  {}:{} -> {}/{}", forward.host_address, forward.host_port, forward.guest_port,
                                forward.proto);
        }
    }
    return line + "\n";
}

bool was_started(ChangeKind kind) {
    return kind == ChangeKind::create || kind == ChangeKind::start || kind == ChangeKind::restart;
}

// Says what failed with the end of the consoles of those that were being started.
std::string consoles_of_started(const Plan& plan, const Changes& changes) {
    std::string text;
    for (const VmPlan& vm : plan.vms) {
        const auto change =
            std::find_if(changes.vms.begin(), changes.vms.end(), [&vm](const VmChange& c) { return c.vm == vm.name; });
        if (change != changes.vms.end() && was_started(change->kind)) {
            text += console_excerpt(vm.name, vm.state_dir);
        }
    }
    return text;
}

void apply(Session& session, const ApplyFlags& flags, Pipeline& pipeline, bool reviewed) {
    const Plan& plan = *pipeline.plan;
    const Changes& changes = *pipeline.changes;
    if (changes.empty()) {
        print(fmt::format("Nothing to do: {} is as {} says.\n", plan.project, pipeline.sources.files.front().path));
        return;
    }
    if (!reviewed) {
        print(render_text(plan, changes, colour_on_stdout(session), terminal(STDOUT_FILENO).width) + "\n");
    }
    if (is_disruptive(changes) && !flags.yes && !reviewed && !confirmed("Apply?")) {
        throw Error("not applied: this restarts, stops or destroys machines",
                    "review it, then give --yes, or save it with plan --out and apply that");
    }
    const auto begin = std::chrono::steady_clock::now();
    std::vector<Action> actions = lower(plan, changes, pipeline.observed, pipeline.facts);
    if (flags.no_wait) {
        std::erase_if(actions, [](const Action& action) { return std::holds_alternative<AwaitReady>(action); });
    }
    try {
        perform_here(actions);
    } catch (const Error&) {
        complain(consoles_of_started(plan, changes));
        throw;
    }
    prune_initramfs_cache(directories(), pipeline.facts);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    for (const VmChange& change : changes.vms) {
        if (!was_started(change.kind)) { continue; }
        const auto vm =
            std::find_if(plan.vms.begin(), plan.vms.end(), [&change](const VmPlan& v) { return v.name == change.vm; });
        print(outcome_line(*vm, !flags.no_wait, seconds));
    }
}

// Those that ran before and run on.
void upgrade_supervisors(const Pipeline& pipeline) {
    for (const VmPlan& vm : pipeline.plan->vms) {
        const ObservedVm* const before = pipeline.observed.find(vm.name);
        if (before != nullptr && before->running) { upgrade_supervisor_of(vm.name, vm.runtime_dir); }
    }
}

} // namespace

void add_apply(CLI::App& app, Session& session) {
    auto flags = std::make_shared<ApplyFlags>();
    CLI::App* command =
        add_command(app, session, "apply", "Make it so: create, start, change and destroy machines as the file says");
    command->add_option("target", session.targets,
                        "A microvm.toml (default: here or above), a saved plan, or names of machines");
    command->add_flag("-y,--yes,--auto-approve", flags->yes, "Don't ask before restarting, stopping or destroying");
    command->add_flag("--no-wait", flags->no_wait,
                      "Return when the hypervisors answer; don't wait until guests are ready");
    command->add_flag("--upgrade", flags->upgrade, "Take the host's newest kernel instead of the pinned one");
    add_lock_timeout(*command, session);
    command->callback([&session, flags] {
        const std::optional<std::string> saved = saved_plan_path(session);
        Pipeline pipeline = saved ? load_saved_plan(*saved) : load_sources(session);
        PipelineOptions options;
        options.upgrade = flags->upgrade;
        options.only = vm_names(session);
        std::optional<FileLock> lock;
        if (pipeline.config) {
            const std::string project = project_name(*pipeline.config, pipeline.sources, {session.project, false});
            lock.emplace(lock_project(session, directories(), project));
            const std::optional<Plan> reviewed = pipeline.plan;
            compile(pipeline, session, options);
            if (saved && pipeline.plan) { refuse_stale(*reviewed, *pipeline.plan, *saved); }
        }
        if (!report(pipeline, session)) {
            session.status = exit_failure;
            return;
        }
        apply(session, *flags, pipeline, saved.has_value());
        upgrade_supervisors(pipeline);
    });
}

} // namespace microvmc
