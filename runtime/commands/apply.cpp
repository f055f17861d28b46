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
#include "runtime/root/root_cache.h"
#include "runtime/terminal.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

struct ApplyFlags {
    bool yes = false;
    bool no_wait = false;
    bool upgrade = false;
    unsigned parallelism = 0;
    Selection selection;
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
    std::vector<ActionGroup> groups = lower_groups(plan, changes, pipeline.observed, pipeline.facts);
    if (flags.no_wait) { forget_readiness(groups); }
    perform_here(groups, flags.parallelism, [&](const ActionGroup& group, double seconds) {
        const auto vm = std::ranges::find(plan.vms, group.name, &VmPlan::name);
        const auto change = std::ranges::find(changes.vms, group.name, &VmChange::vm);
        if (vm == plan.vms.end() || change == changes.vms.end() || !was_started(change->kind)) { return; }
        print(outcome_line(*vm, !flags.no_wait, seconds));
    });
    prune_initramfs_cache(directories(), pipeline.facts);
    prune_root_cache(directories());
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
    add_selection(*command, flags->selection);
    add_parallelism(*command, flags->parallelism);
    add_lock_timeout(*command, session);
    command->callback([&session, flags] {
        const std::optional<std::string> saved = saved_plan_path(session);
        Pipeline pipeline = saved ? load_saved_plan(*saved) : load_sources(session);
        PipelineOptions options;
        options.upgrade = flags->upgrade;
        options.only = vm_names(session);
        select(flags->selection, options);
        if (pipeline.plan && pipeline.plan->vms.empty()) { options.destroy = true; } // a saved one, made so
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
