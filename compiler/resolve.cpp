#include "compiler/resolve.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/schema.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <unordered_map>

namespace microvmc {

namespace resolving {

void origin(const Inputs& in, VmPlan& plan, std::string key, const Span& span) {
    if (!span.known()) { return; }
    plan.origins.emplace(std::move(key),
                         Origin{in.sources.files.at(span.file).path, span.begin.line, span.begin.column});
}

const PathFacts* path_facts(const HostFacts& facts, const std::string& path) {
    const auto found = facts.paths.find(path);
    return found == facts.paths.end() ? nullptr : &found->second;
}

} // namespace resolving

namespace {

using resolving::origin;

/// Keys of the language that nothing acts upon yet are refused, never ignored.
void refuse_unbuilt(const Inputs& in, std::span<const Unbuilt> unbuilt) {
    for (const Unbuilt& each : unbuilt) {
        in.diagnostics.error(codes::not_built, each.span, fmt::format("`{}` is not built yet", each.key->name)).help =
            std::string(each.key->unbuilt);
    }
}

bool is_hostname(std::string_view text) {
    return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '.';
           });
}

ReadyPlan ready(const Inputs& in, const VmConfig& config) {
    ReadyPlan plan;
    if (!config.ready) { return plan; }
    const ReadyConfig& said = *config.ready;
    if (said.tcp) {
        plan.kind = ReadyPlan::Kind::tcp;
        plan.port = static_cast<std::uint16_t>(said.tcp->value);
    } else if (said.http) {
        const std::string& text = said.http->value;
        const auto slash = text.find('/');
        plan.kind = ReadyPlan::Kind::http;
        plan.port = static_cast<std::uint16_t>(
            *parse_number(std::string_view(text).substr(1, slash == std::string::npos ? slash : slash - 1)));
        plan.path = slash == std::string::npos ? "/" : text.substr(slash);
    } else if (said.console) {
        plan.kind = ReadyPlan::Kind::console;
        plan.text = said.console->value;
        if (plan.text.empty()) { in.diagnostics.error(codes::bad_text, said.console->span, "the text is empty"); }
    } else if (!said.command.empty()) {
        plan.kind = ReadyPlan::Kind::command;
        for (const auto& argument : said.command) { plan.command.push_back(argument.value); }
    } else if (said.notify && said.notify->value) {
        plan.kind = ReadyPlan::Kind::notify;
    } else if (said.exit) {
        plan.kind = ReadyPlan::Kind::exit;
        plan.status = static_cast<int>(said.exit->value);
        if (config.command.empty()) {
            in.diagnostics.error(codes::conflicting_keys, said.exit->span, "`ready.exit` needs a `command`").help =
                "it awaits the end of the machine's command";
        }
    }
    return plan;
}

RootPlan root(const Inputs& in, const VmConfig& config) {
    RootPlan plan;
    if (!config.root) { return plan; }
    if (config.root->host && config.root->host->value) {
        plan = {.kind = RootPlan::Kind::share, .source = "/", .tag = "microvmc-root", .overlay = true};
    }
    if (const auto& overlay = config.root->overlay) {
        if (overlay->value == "none") {
            plan.overlay = false;
        } else if (overlay->value != "tmpfs") {
            in.diagnostics.error(codes::not_built, overlay->span, "a volume as `overlay` is not built yet").help =
                "it takes tmpfs or none";
        }
    }
    return plan;
}

/// What is said of the machine alone, without the host.
void basics(const Inputs& in, Draft& draft) {
    const VmConfig& config = *draft.config;
    VmPlan& plan = draft.plan;
    refuse_unbuilt(in, config.unbuilt);
    plan.name = config.name.value;
    plan.enabled = config.enabled.value;
    plan.vcpu = static_cast<std::uint32_t>(config.vcpu.value);
    plan.mem_mib = static_cast<std::uint64_t>(config.mem.value);
    plan.arch = config.arch ? config.arch->value : in.facts.arch;
    plan.hostname = config.hostname ? config.hostname->value : config.name.value;
    if (!is_hostname(plan.hostname)) {
        in.diagnostics
            .error(codes::bad_name, config.hostname->span,
                   fmt::format("`{}` is no host name", printable(plan.hostname)))
            .help = "it has at most 63 letters, digits, - and .";
    }
    for (const auto& argument : config.command) { plan.command.push_back(argument.value); }
    for (const auto& [name, value] : config.env) { plan.env.emplace(name.value, value.value); }
    if (config.workdir) { plan.workdir = config.workdir->value; }
    const auto written_here = [&](const Span& span) {
        return std::ranges::find(config.inherited, span, &Inherited::span) == config.inherited.end();
    };
    if (plan.command.empty()) {
        for (const auto& [given, span, key] :
             {std::tuple{!config.env.empty(), config.env.empty() ? Span{} : config.env.front().first.span, "env"},
              std::tuple{config.workdir.has_value(), config.workdir ? config.workdir->span : Span{}, "workdir"}}) {
            if (given && written_here(span)) {
                in.diagnostics.error(codes::conflicting_keys, span,
                                     fmt::format("`{}` is for a `command`, and there is none", key));
            }
        }
    }
    plan.startup_timeout_ms = config.startup_timeout.value;
    plan.shutdown_timeout_ms = config.shutdown_timeout.value;
    plan.ready = ready(in, config);
    plan.root = root(in, config);
    plan.state_dir = fmt::format("{}/projects/{}/{}", in.facts.state_dir, in.project, plan.name);
    plan.runtime_dir = fmt::format("{}/{}/{}", in.facts.runtime_dir, in.project, plan.name);

    plan.origins.emplace("", Origin{in.sources.files.at(config.span.file).path, config.span.begin.line});
    origin(in, plan, "enabled", config.enabled.span);
    origin(in, plan, "vcpu", config.vcpu.span);
    origin(in, plan, "mem", config.mem.span);
    origin(in, plan, "accel", config.accel.span);
    if (!config.hypervisor.empty()) { origin(in, plan, "hypervisor", config.hypervisor.front().span); }
    origin(in, plan, "kernel", config.kernel.span);
    if (!config.kernel_params.empty()) { origin(in, plan, "kernel-params", config.kernel_params.front().span); }
    if (config.root) { origin(in, plan, "root", config.root->span); }
    if (!config.command.empty()) { origin(in, plan, "command", config.command.front().span); }
    if (!config.env.empty()) { origin(in, plan, "env", config.env.front().first.span); }
    if (config.workdir) { origin(in, plan, "workdir", config.workdir->span); }
    if (config.hostname) { origin(in, plan, "hostname", config.hostname->span); }
    if (config.ready) { origin(in, plan, "ready", config.ready->span); }
    origin(in, plan, "startup-timeout", config.startup_timeout.span);
    origin(in, plan, "shutdown-timeout", config.shutdown_timeout.span);
}

/// The backend's own word on the machine, when all else is known.
void machine(const Inputs& in, Draft& draft) {
    VmPlan& plan = draft.plan;
    for (const HypervisorConfig& each : draft.config->hypervisors) {
        if (each.name.value != plan.hypervisor) { continue; }
        for (const auto& argument : each.extra_args) { plan.extra_args.push_back(argument.value); }
        for (const auto& [name, value] : each.options) { plan.options.emplace(name.value, value.value); }
        if (each.program) { origin(in, plan, "program", each.program->span); }
        if (!each.extra_args.empty()) { origin(in, plan, "extra-args", each.extra_args.front().span); }
        if (!each.options.empty()) { origin(in, plan, "options", each.options.front().first.span); }
    }
    MachineChoice choice = draft.traits->choose_machine(plan, in.facts);
    plan.machine = std::move(choice.machine);
    plan.machine_reason = std::move(choice.machine_reason);
    plan.kernel.image = choice.kernel_image;
    plan.kernel.image_reason = std::move(choice.kernel_image_reason);
    plan.kernel.params = std::move(choice.kernel_params);
    for (const auto& parameter : draft.config->kernel_params) { plan.kernel.params.push_back(parameter.value); }
}

/// Notes how values that the diagnostics are about came to the machines that have them.
void note_inheritance(const Inputs& in) {
    if (in.diagnostics.all().empty() || in.config.routes.empty()) { return; }
    std::multimap<Span, std::uint32_t> routes;
    for (const VmConfig& vm : in.config.vms) {
        for (const Inherited& each : vm.inherited) { routes.emplace(each.span, each.route); }
    }
    in.diagnostics.add_notes([&](const Diagnostic& diagnostic) {
        std::vector<Note> notes;
        const auto [begin, end] = routes.equal_range(diagnostic.span);
        for (auto at = begin; at != end; ++at) {
            const Route& route = in.config.routes[at->second - 1];
            if (!route.message.empty()) { notes.push_back({route.span, route.message}); }
        }
        return notes;
    });
}

std::string host_summary(const HostFacts& facts) {
    if (facts.kvm.state == KvmState::works) { return fmt::format("{}, KVM works", facts.arch); }
    return fmt::format("{}, emulated: {}", facts.arch, facts.kvm.reason);
}

} // namespace

std::string project_name(const Config& config, const Sources& sources, const ResolveOptions& options) {
    if (!options.project.empty()) { return options.project; }
    if (config.name) { return config.name->value; }
    for (const SourceFile& file : sources.files) {
        std::string name = slug(file.directory.substr(file.directory.rfind('/') + 1) + ".");
        if (!name.empty()) { return name; }
    }
    return "default";
}

std::optional<Plan> resolve(const Config& config, const Sources& sources, std::span<const Traits> traits,
                            const HostFacts& facts, const Observed& observed, const ResolveOptions& options,
                            Diagnostics& diagnostics) {
    const Inputs in{config,     sources, traits, facts, observed, options, project_name(config, sources, options),
                    diagnostics};
    refuse_unbuilt(in, config.unbuilt);
    resolving::check_text(in);
    std::unordered_map<std::string_view, const ObservedVm*> known;
    for (const ObservedVm& vm : observed.vms) { known.emplace(vm.name, &vm); }

    std::vector<Draft> drafts(config.vms.size());
    for (std::size_t i = 0; i < drafts.size(); ++i) {
        Draft& draft = drafts[i];
        draft.config = &config.vms[i];
        const auto seen = known.find(draft.config->name.value);
        draft.observed = seen == known.end() ? nullptr : seen->second;
        basics(in, draft);
        resolving::devices(in, draft);
        const bool has_hypervisor = resolving::hypervisor(in, draft);
        if (has_hypervisor) { resolving::finish_devices(in, draft); }
        if (resolving::kernel(in, draft) && has_hypervisor) { machine(in, draft); }
    }
    resolving::host_ports(in, drafts);
    resolving::check(in, drafts);
    note_inheritance(in);
    diagnostics.sort();
    if (diagnostics.has_errors()) { return std::nullopt; }

    Plan plan;
    plan.project = in.project;
    plan.project_state_dir = fmt::format("{}/projects/{}", facts.state_dir, in.project);
    plan.project_runtime_dir = fmt::format("{}/{}", facts.runtime_dir, in.project);
    plan.host = facts.hostname;
    plan.arch = facts.arch;
    plan.host_summary = host_summary(facts);
    plan.digests = digests(sources, facts, observed);
    plan.vms.reserve(drafts.size());
    for (Draft& draft : drafts) { plan.vms.push_back(std::move(draft.plan)); }
    return plan;
}

} // namespace microvmc
