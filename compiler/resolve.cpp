#include "compiler/resolve.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/identity.h"
#include "compiler/named_paths.h"
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
    plan.origins.add(std::move(key), in.sources.files.at(span.file).path, span.begin.line, span.begin.column);
}

Span written_at(const Inputs& in, const Draft& draft, const std::string& key) {
    const Origin origin = key.empty() ? Origin{} : draft.plan.origins.find(key);
    for (std::uint32_t i = 0; origin.line != 0 && i < in.sources.files.size(); ++i) {
        if (in.sources.files[i].path != origin.file) { continue; }
        return {i, {origin.line, origin.column}, {origin.line, origin.column + 1}};
    }
    return draft.config->name.span;
}

const HostDeviceFacts* device_facts(const HostFacts& facts, const HostDevicePlan& device) {
    const auto found = facts.host_devices.find(device.bus + ' ' + device.path);
    return found == facts.host_devices.end() ? nullptr : &found->second;
}

const PathFacts* path_facts(const HostFacts& facts, const std::string& path) {
    const auto found = facts.paths.find(path);
    return found == facts.paths.end() ? nullptr : &found->second;
}

} // namespace resolving

namespace {

using resolving::origin;

bool is_hostname(std::string_view text) {
    return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                      c == '.';
           });
}

ReadyPlan ready(const Inputs& in, const VmConfig& config, const VmPlan& machine) {
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
        if (config.console.value == "off") {
            in.diagnostics.error(codes::conflicting_keys, said.console->span,
                                 "`ready.console` needs a console, and `console` is off");
        }
        if (plan.text.empty()) { in.diagnostics.error(codes::bad_text, said.console->span, "the text is empty"); }
    } else if (!said.command.empty()) {
        plan.kind = ReadyPlan::Kind::command;
        for (const auto& argument : said.command) { plan.command.push_back(argument.value); }
    } else if (said.notify && said.notify->value) {
        plan.kind = ReadyPlan::Kind::notify;
    } else if (said.exit) {
        plan.kind = ReadyPlan::Kind::exit;
        plan.status = static_cast<int>(said.exit->value);
        if (machine.command.empty()) {
            in.diagnostics.error(codes::conflicting_keys, said.exit->span, "`ready.exit` needs a `command`").help =
                "it awaits the end of the machine's command";
        }
    }
    return plan;
}

/// Where the image lies that is made of a root's source.
void place_image(const Inputs& in, RootPlan& plan) {
    const PathFacts* facts = resolving::path_facts(in.facts, plan.source);
    // Facts of another host don't know it; what is made here is then named by where its source lies.
    const std::string& identity = facts == nullptr || facts->identity.empty() ? plan.source : facts->identity;
    const std::string key = root_key(plan.kind, plan.fs_type, plan.arch, identity);
    plan.image = fmt::format("{}/cache/roots/{}.{}", in.facts.state_dir, key, plan.fs_type);
    plan.uuid = uuid_of_digest(key);
}

RootPlan root(const Inputs& in, const VmConfig& config) {
    RootPlan plan;
    if (!config.root) { return plan; }
    const RootConfig& said = *config.root;
    const auto choose = [&plan](RootPlan::Kind kind, const std::string& source) {
        plan.kind = kind;
        plan.source = source;
    };
    if (said.host && said.host->value) { choose(RootPlan::Kind::share, "/"); }
    if (said.image) { choose(RootPlan::Kind::image, said.image->value); }
    if (said.dir) { choose(RootPlan::Kind::dir, said.dir->value); }
    if (said.tar) { choose(RootPlan::Kind::tar, said.tar->value); }
    if (said.oci) { choose(RootPlan::Kind::oci, said.oci->value); }
    if (said.store) { choose(RootPlan::Kind::store, said.store->value); }
    switch (plan.kind) {
    case RootPlan::Kind::initramfs: return plan;
    case RootPlan::Kind::share:
    case RootPlan::Kind::store: plan.tag = "microvmc-root"; break;
    case RootPlan::Kind::image:
        plan.format = said.format ? said.format->value : "raw";
        if (said.partition) { plan.partition = static_cast<std::uint32_t>(said.partition->value); }
        plan.read_only = said.read_only.value;
        break;
    case RootPlan::Kind::dir:
    case RootPlan::Kind::tar:
    case RootPlan::Kind::oci:
        plan.fs_type = said.fs_type.value;
        if (plan.kind == RootPlan::Kind::oci) { plan.arch = config.arch ? config.arch->value : in.facts.arch; }
        place_image(in, plan);
        break;
    }
    plan.overlay = said.overlay ? said.overlay->value : plan.read_only ? "tmpfs" : "none";
    return plan;
}

/// What an OCI image says of its process, where the text says nothing.
void take_oci_defaults(const Inputs& in, Draft& draft) {
    const VmConfig& config = *draft.config;
    VmPlan& plan = draft.plan;
    const auto known = in.facts.oci_images.find(plan.root.source);
    if (known == in.facts.oci_images.end()) { return; }
    const OciFacts& image = known->second;
    const Span& span = config.root->oci->span;
    if (!image.problem.empty()) {
        const PathFacts* facts = resolving::path_facts(in.facts, plan.root.source);
        if (facts != nullptr && facts->kind == PathFacts::Kind::missing) { return; } // said already
        in.diagnostics
            .error(codes::missing_path, span,
                   fmt::format("`{}` is no OCI image: {}", printable(plan.root.source), printable(image.problem)))
            .help = "skopeo copy docker://NAME oci-archive:FILE makes one, as does docker save or podman save";
        return;
    }
    if (config.command.empty() && !config.init) { plan.command = image.command; }
    if (plan.workdir.empty() && !plan.command.empty()) { plan.workdir = image.workdir; }
    for (const std::string& entry : image.env) {
        const std::size_t equals = entry.find('=');
        if (equals != std::string::npos && equals != 0) {
            plan.env.emplace(entry.substr(0, equals), entry.substr(equals + 1));
        }
    }
    if (!image.user.empty() && config.command.empty()) {
        in.diagnostics
            .warning(codes::oci_user, span,
                     fmt::format("the image is for the user `{}`, and its command runs as root", printable(image.user)))
            .help = "give a command that changes to it: command = [\"setpriv\", \"--reuid=...\", ...]";
    }
}

std::uint64_t size_of(const Opt<std::int64_t>& key) {
    return key ? static_cast<std::uint64_t>(key->value) : 0;
}

BalloonPlan balloon(const VmConfig& config) {
    BalloonPlan plan;
    if (config.balloon.value == "false") { return plan; }
    plan.mode = config.balloon.value == "auto" ? BalloonPlan::Mode::automatic : BalloonPlan::Mode::on;
    plan.floor_mib = size_of(config.balloon_floor);
    plan.initial_mib = size_of(config.initial_balloon_mem);
    plan.deflate_on_oom = config.deflate_on_oom.value;
    plan.free_page_reporting = config.free_page_reporting.value;
    return plan;
}

std::string text_of(const Opt<std::string>& key) {
    return key ? key->value : std::string();
}

std::vector<std::string> texts_of(const Strings& strings) {
    std::vector<std::string> texts;
    texts.reserve(strings.size());
    for (const auto& each : strings) { texts.push_back(each.value); }
    return texts;
}

std::vector<std::vector<std::string>> lists_of(const std::vector<Strings>& lists) {
    std::vector<std::vector<std::string>> texts;
    texts.reserve(lists.size());
    for (const Strings& each : lists) { texts.push_back(texts_of(each)); }
    return texts;
}

constexpr std::uint16_t first_vnc_port = 5900; ///< RFC 6143, section 1: display 0

bool is_machine_id(std::string_view text) {
    return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
           text.find_first_not_of('0') != std::string_view::npos;
}

/// What surrounds the machine: what it is given, what it awaits, what it may use.
void surroundings(const Inputs& in, Draft& draft) {
    const VmConfig& config = *draft.config;
    VmPlan& plan = draft.plan;
    if (config.cloud_init) {
        plan.cloud_init = {.user_data = text_of(config.cloud_init->user_data),
                           .meta_data = text_of(config.cloud_init->meta_data),
                           .network_config = text_of(config.cloud_init->network_config),
                           .instance_id = derived_machine_id(in.project, plan.name)};
    }
    if (config.graphics) {
        const GraphicsConfig& said = *config.graphics;
        plan.graphics = {.backend = said.backend ? said.backend->value : "default",
                         .address = text_of(said.address),
                         .port = said.port ? static_cast<std::uint16_t>(said.port->value) : std::uint16_t{0},
                         .socket = text_of(said.socket)};
        GraphicsPlan& graphics = plan.graphics;
        if (said.socket && (said.address || said.port)) {
            in.diagnostics
                .error(codes::conflicting_keys, said.socket->span,
                       "a display is reached by a socket or by an address, not both")
                .help = "leave one of them out";
        } else if (!said.socket && !said.address && !said.port) {
            graphics.socket = plan.runtime_dir + "/display.sock";
        } else if (!said.socket) {
            if (!said.address) { graphics.address = "127.0.0.1"; }
            if (!said.port) { graphics.port = first_vnc_port; }
        }
    }
    for (const CredentialConfig& each : config.credentials) {
        plan.credentials.push_back({.name = each.name.value,
                                    .file = text_of(each.file),
                                    .env = text_of(each.env),
                                    .command = texts_of(each.command)});
    }
    for (const DeviceConfig& each : config.devices) {
        HostDevicePlan& device = plan.host_devices.emplace_back();
        device.name = each.name.value;
        device.bus = text_of(each.bus);
        device.path = text_of(each.path);
        if (const HostDeviceFacts* known = resolving::device_facts(in.facts, device)) {
            device.iommu_group = known->iommu_group;
        }
    }
    // A root of its own has programs that ask for it; what its own loader boots isn't told.
    if (plan.root.kind != RootPlan::Kind::initramfs && plan.firmware.empty()) {
        plan.machine_id = derived_machine_id(in.project, plan.name);
    }
    if (config.machine_id) {
        plan.machine_id = config.machine_id->value;
        if (!is_machine_id(plan.machine_id)) {
            in.diagnostics
                .error(codes::bad_text, config.machine_id->span,
                       fmt::format("`{}` is no machine-id", printable(plan.machine_id)))
                .help = "it has 32 hexadecimal digits in lower case, not all of them 0";
        }
    }
    plan.depends_on = texts_of(config.depends_on);
    plan.restart = {.policy = config.restart.value,
                    .delay_ms = config.restart_delay.value,
                    .limit = static_cast<std::uint32_t>(config.restart_limit.value)};
    if (plan.restart.policy == "no") { plan.restart = {}; }
    plan.autostart = config.autostart.value;
    if (config.limits) {
        plan.limits = {.cpu = config.limits->cpu ? config.limits->cpu->value : 0,
                       .mem_mib = size_of(config.limits->mem),
                       .pids = size_of(config.limits->pids),
                       .io_read_mib = size_of(config.limits->io_read),
                       .io_write_mib = size_of(config.limits->io_write)};
    }
    plan.vmm_user = text_of(config.vmm_user);
    plan.pre_start = lists_of(config.pre_start);
    plan.post_stop = lists_of(config.post_stop);
}

/// What the text names on the host must be there.
void check_paths(const Inputs& in, const VmConfig& config) {
    for (const auto& [path, kind, what] : named_paths(config)) {
        const PathFacts* facts = resolving::path_facts(in.facts, path->value);
        if (facts == nullptr) { continue; }
        if (facts->kind == PathFacts::Kind::missing) {
            in.diagnostics.error(codes::missing_path, path->span,
                                 fmt::format("there is no {} `{}`", what, printable(path->value)));
        } else if (kind != PathFacts::Kind::other &&
                   (facts->kind == PathFacts::Kind::directory) != (kind == PathFacts::Kind::directory)) {
            in.diagnostics.error(codes::missing_path, path->span,
                                 fmt::format("`{}` is no {}", printable(path->value), what));
        } else if (!facts->readable) {
            in.diagnostics.error(codes::missing_path, path->span,
                                 fmt::format("`{}` can't be read", printable(path->value)));
        }
    }
}

/// Where the keys were written that stand in the plan as they are.
void origins(const Inputs& in, Draft& draft) {
    const VmConfig& config = *draft.config;
    const auto at = [&](const char* key, const auto& said) {
        if constexpr (requires { said.span; }) {
            origin(in, draft.plan, key, said.span);
        } else if constexpr (requires { said->span; }) {
            if (said) { origin(in, draft.plan, key, said->span); }
        } else if constexpr (requires { said.front().span; }) {
            if (!said.empty()) { origin(in, draft.plan, key, said.front().span); }
        } else if constexpr (requires { said.front().first.span; }) {
            if (!said.empty()) { origin(in, draft.plan, key, said.front().first.span); }
        } else {
            if (!said.empty() && !said.front().empty()) { origin(in, draft.plan, key, said.front().front().span); }
        }
    };
    draft.plan.origins.add("", in.sources.files.at(config.span.file).path, config.span.begin.line, 0);
    at("enabled", config.enabled);
    at("vcpu", config.vcpu);
    at("mem", config.mem);
    at("mem-max", config.mem_max);
    at("hugepages", config.hugepages);
    at("balloon", config.balloon);
    at("cpu", config.cpu);
    at("accel", config.accel);
    at("hypervisor", config.hypervisor);
    at("kernel", config.kernel);
    at("kernel-config", config.kernel_config);
    at("initrd", config.initrd);
    at("kernel-params", config.kernel_params);
    at("firmware", config.firmware);
    at("root", config.root);
    at("cloud-init", config.cloud_init);
    at("init", config.init);
    at("command", config.command);
    at("env", config.env);
    at("workdir", config.workdir);
    at("hostname", config.hostname);
    at("machine-id", config.machine_id);
    at("vsock", config.vsock);
    at("console", config.console);
    at("graphics", config.graphics);
    at("ready", config.ready);
    at("depends-on", config.depends_on);
    at("restart", config.restart);
    at("autostart", config.autostart);
    at("startup-timeout", config.startup_timeout);
    at("shutdown-timeout", config.shutdown_timeout);
    at("limits", config.limits);
    at("vmm-user", config.vmm_user);
    at("pre-start", config.pre_start);
    at("post-stop", config.post_stop);
    for (const DeviceConfig& each : config.devices) {
        origin(in, draft.plan, "devices." + each.name.value, each.name.span);
    }
    for (const CredentialConfig& each : config.credentials) {
        origin(in, draft.plan, "credentials." + each.name.value, each.name.span);
    }
}

} // namespace

namespace {

/// What a machine whose memory can grow boots with: `mem`, unless one runs that booted with less.
std::uint64_t boot_memory(const VmPlan& plan, const ObservedVm* observed) {
    const VmPlan* running = running_plan(observed);
    if (running == nullptr) { return plan.mem_mib; }
    const bool same = running->mem_max_mib == plan.mem_max_mib && running->mem_boot_mib != 0;
    return same && running->mem_boot_mib <= plan.mem_mib ? running->mem_boot_mib : plan.mem_mib;
}

} // namespace

namespace resolving {

void basics(const Inputs& in, Draft& draft) {
    const VmConfig& config = *draft.config;
    VmPlan& plan = draft.plan;
    plan.name = config.name.value;
    plan.enabled = config.enabled.value;
    plan.vcpu = static_cast<std::uint32_t>(config.vcpu.value);
    plan.mem_mib = static_cast<std::uint64_t>(config.mem.value);
    plan.mem_max_mib = size_of(config.mem_max);
    if (plan.mem_max_mib != 0) { plan.mem_boot_mib = boot_memory(plan, draft.observed); }
    if (plan.mem_max_mib == plan.mem_boot_mib) { plan.mem_max_mib = plan.mem_boot_mib = 0; } // there is no room
    plan.hugepages = config.hugepages.value == "false" ? "" : config.hugepages.value;
    plan.balloon = balloon(config);
    plan.cpu = text_of(config.cpu);
    plan.firmware = text_of(config.firmware);
    plan.init = text_of(config.init);
    plan.console = config.console.value == "auto" ? "" : config.console.value;
    plan.arch = config.arch ? config.arch->value : in.facts.arch;
    plan.hostname = config.hostname ? config.hostname->value : config.name.value;
    if (!is_hostname(plan.hostname)) {
        in.diagnostics
            .error(codes::bad_name, config.hostname->span,
                   fmt::format("`{}` is no host name", printable(plan.hostname)))
            .help = "it has at most 63 letters, digits, - and .";
    }
    plan.root = root(in, config);
    plan.command = texts_of(config.command);
    for (const auto& [name, value] : config.env) { plan.env.emplace(name.value, value.value); }
    if (config.workdir) { plan.workdir = config.workdir->value; }
    if (plan.root.kind == RootPlan::Kind::oci) { take_oci_defaults(in, draft); }
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
    plan.ready = ready(in, config, plan);
    plan.state_dir = fmt::format("{}/projects/{}/{}", in.facts.state_dir, in.project, plan.name);
    plan.runtime_dir = fmt::format("{}/{}/{}", in.facts.runtime_dir, in.project, plan.name);

    surroundings(in, draft);
    check_paths(in, config);
    origins(in, draft);
}

} // namespace resolving

namespace {

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
    MachineChoice& choice = draft.choice;
    if (!choice.warning.empty()) {
        const Span& mem = draft.config->mem.span;
        in.diagnostics.warning(codes::odd_memory, mem.known() ? mem : draft.config->name.span, choice.warning).help =
            "give it a little more or less";
    }
    const auto in_place = [&](std::string key, std::string_view capability) {
        const Capability& has = draft.traits->capability(capability);
        if (has.support != Support::unsupported) { plan.in_place.emplace(std::move(key), has.why); }
    };
    if (plan.mem_max_mib != 0) { in_place("mem", "memory.hotplug"); }
    for (const VolumePlan& volume : plan.volumes) {
        if (volume.read_only) { continue; } // opened to be read only, it can't grow before the next start
        if (draft.traits->grows != nullptr && !draft.traits->grows(volume)) { continue; }
        in_place(size_key(volume), "volume.grow");
    }
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

Inputs inputs(const Config& config, const Sources& sources, std::span<const Traits> traits, const HostFacts& facts,
              const Observed& observed, const ResolveOptions& options, Diagnostics& diagnostics) {
    return {config,
            sources,
            traits,
            facts,
            observed,
            options,
            project_name(config, sources, options),
            diagnostics,
            resolving::planned_kernels(facts)};
}

/// All that comes before a hypervisor is chosen.
void begin(const Inputs& in, Draft& draft) {
    resolving::basics(in, draft);
    resolving::devices(in, draft);
    draft.has_kernel = !draft.plan.firmware.empty() || resolving::kernel(in, draft);
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

std::vector<HypervisorChoice> hypervisor_choices(const VmConfig& vm, const Config& config, const Sources& sources,
                                                 std::span<const Traits> traits, const HostFacts& facts,
                                                 const Observed& observed, const ResolveOptions& options) {
    Diagnostics unseen; // what is wrong with the text, `check` says
    const Inputs in = inputs(config, sources, traits, facts, observed, options, unseen);
    VmPlan plan;
    Draft draft{&vm, observed.find(vm.name.value), plan};
    begin(in, draft);
    return resolving::hypervisor_choices(in, draft);
}

std::optional<Plan> resolve(const Config& config, const Sources& sources, std::span<const Traits> traits,
                            const HostFacts& facts, const Observed& observed, const ResolveOptions& options,
                            Diagnostics& diagnostics) {
    Plan plan;
    const Inputs in = inputs(config, sources, traits, facts, observed, options, diagnostics);
    resolving::check_text(in);
    resolving::networks(in, plan);
    std::unordered_map<std::string_view, const ObservedVm*> known;
    for (const ObservedVm& vm : observed.vms) { known.emplace(vm.name, &vm); }

    plan.vms.resize(config.vms.size());
    std::vector<Draft> drafts;
    drafts.reserve(config.vms.size());
    for (std::size_t i = 0; i < config.vms.size(); ++i) {
        const auto seen = known.find(config.vms[i].name.value);
        Draft& draft =
            drafts.emplace_back(Draft{&config.vms[i], seen == known.end() ? nullptr : seen->second, plan.vms[i]});
        begin(in, draft);
    }
    resolving::cids(in, drafts);
    for (Draft& draft : drafts) {
        if (!resolving::hypervisor(in, draft)) { continue; }
        resolving::finish_devices(in, draft);
        if (draft.has_kernel) { machine(in, draft); }
    }
    resolving::host_ports(in, drafts);
    resolving::host_names(in, plan, drafts);
    resolving::addresses(in, plan, drafts);
    resolving::check(in, drafts);
    resolving::check_host(in, drafts);
    note_inheritance(in);
    diagnostics.sort();
    if (diagnostics.has_errors()) { return std::nullopt; }

    plan.project = in.project;
    plan.project_state_dir = fmt::format("{}/projects/{}", facts.state_dir, in.project);
    plan.project_runtime_dir = fmt::format("{}/{}", facts.runtime_dir, in.project);
    plan.host = facts.hostname;
    plan.arch = facts.arch;
    plan.host_summary = host_summary(facts);
    plan.digests = digests(sources, facts, observed);
    return plan;
}

} // namespace microvmc
