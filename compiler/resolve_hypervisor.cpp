#include "compiler/address.h"
#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/kernel_options.h"
#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>
#include <initializer_list>

namespace microvmc::resolving {

namespace {

/// Something that keeps a hypervisor from running a machine.
struct Obstacle {
    const char* code = codes::unsupported;
    Span span;
    std::string message;
    std::string help;
};

struct Candidate {
    const Traits* traits = nullptr;
    std::string_view program; ///< of the facts or the text
    std::string_view version;
    std::string_view accel;
    std::string accel_reason;
    bool on_incomplete_kvm = false; ///< where nobody but who named the kernel knows whether it runs
    MachineChoice choice;
    std::vector<Obstacle> obstacles;
};

const HypervisorConfig* own_table(const VmConfig& config, std::string_view name) {
    const auto found =
        std::ranges::find_if(config.hypervisors, [&](const HypervisorConfig& each) { return each.name.value == name; });
    return found == config.hypervisors.end() ? nullptr : &*found;
}

void find_program(const Inputs& in, const Draft& draft, const Span& said, Candidate& candidate) {
    const Traits& traits = *candidate.traits;
    const HypervisorConfig* own = own_table(*draft.config, traits.name);
    if (own != nullptr && own->program) {
        const std::string& path = own->program->value;
        candidate.program = path;
        if (const auto tool = in.facts.tools.find(path); tool != in.facts.tools.end()) {
            candidate.version = tool->second.version;
        } else if (const PathFacts* known = path_facts(in.facts, path);
                   known != nullptr && known->kind != PathFacts::Kind::file) {
            candidate.obstacles.push_back(
                {codes::missing_path, own->program->span, fmt::format("there is no program `{}`", path), {}});
        }
        return;
    }
    const auto program = std::ranges::find(traits.programs, draft.plan.arch, &Traits::Program::arch);
    if (program == traits.programs.end()) {
        candidate.obstacles.push_back({codes::foreign_arch,
                                       draft.config->arch ? draft.config->arch->span : said,
                                       fmt::format("{} runs no {} guests", traits.title, draft.plan.arch),
                                       {}});
        return;
    }
    const auto tool = in.facts.tools.find(program->name);
    if (tool == in.facts.tools.end()) {
        candidate.obstacles.push_back(
            {codes::no_hypervisor, said, fmt::format("{} is not installed", traits.title),
             fmt::format("there is no `{}` in PATH; install it{}, or name it in [vm.{}.{}] "
                         "program",
                         program->name, traits.install.empty() ? "" : fmt::format(" ({})", traits.install),
                         draft.plan.name, traits.name)});
        return;
    }
    candidate.program = tool->second.path;
    candidate.version = tool->second.version;
}

bool is_named(const Draft& draft, const Traits& traits) {
    return std::ranges::find(draft.config->hypervisor, traits.name, &Located<std::string>::value) !=
           draft.config->hypervisor.end();
}

/// Stock kernels die on a KVM that only interprets. Who names a kernel may have one that doesn't.
bool may_run_incomplete(const Inputs& in, const Draft& draft) {
    return in.facts.kvm.state == KvmState::incomplete && draft.config->kernel.value.starts_with('/');
}

void find_accel(const Inputs& in, const Draft& draft, Candidate& candidate) {
    const auto& traits = *candidate.traits;
    const Located<std::string>& wanted = draft.config->accel;
    const auto has = [&](std::string_view name) {
        return std::ranges::find(traits.accels, name) != traits.accels.end();
    };
    const bool native = draft.plan.arch == in.facts.arch;
    const bool kvm = has("kvm") && native && in.facts.kvm.state == KvmState::works;
    const auto why_not = [&] {
        return !native       ? fmt::format("the host is {}", in.facts.arch)
               : !has("kvm") ? fmt::format("{} has no KVM", traits.title)
                             : in.facts.kvm.reason;
    };
    const bool may_run = has("kvm") && native && may_run_incomplete(in, draft);
    if (wanted.value == "kvm") {
        if (kvm || may_run) {
            candidate.accel = "kvm";
            candidate.accel_reason = "named";
            candidate.on_incomplete_kvm = !kvm;
            return;
        }
        candidate.obstacles.push_back({codes::no_accel, wanted.span,
                                       fmt::format("KVM doesn't work here: {}", why_not()),
                                       has("tcg") ? "accel = \"auto\" emulates the machine instead" : ""});
        return;
    }
    if (wanted.value == "auto" && kvm) {
        candidate.accel = "kvm";
        return;
    }
    if (has("tcg")) {
        candidate.accel = "tcg";
        candidate.accel_reason = wanted.value == "tcg" ? "named" : why_not();
        return;
    }
    if (wanted.value == "auto" && may_run && is_named(draft, traits)) {
        candidate.accel = "kvm";
        candidate.accel_reason = "it has nothing else";
        candidate.on_incomplete_kvm = true;
        return;
    }
    candidate.obstacles.push_back(
        {codes::no_accel, wanted.span.known() ? wanted.span : draft.config->name.span,
         wanted.value == "tcg" ? fmt::format("{} can't emulate", traits.title)
                               : fmt::format("{} needs KVM, which doesn't work here: {}", traits.title, why_not()),
         wanted.value == "auto" && has("kvm") && native && in.facts.kvm.state == KvmState::incomplete
             ? "name a kernel that was made for it (`kernel`), or take a hypervisor that emulates"
             : ""});
}

/// What words of volumes mean is the hypervisor's business.
void check_volumes(const Draft& draft, Candidate& candidate) {
    const Traits& traits = *candidate.traits;
    const auto has = [](const std::vector<std::string_view>& words, std::string_view word) {
        return std::ranges::find(words, word) != words.end();
    };
    for (const VolumeConfig& volume : draft.config->volumes) {
        const bool knows_caches = traits.capability("volume.cache").support != Support::unsupported;
        if (volume.cache && knows_caches && !has(traits.cache_modes, volume.cache->value)) {
            const std::string_view meant = nearest(volume.cache->value, traits.cache_modes);
            candidate.obstacles.push_back(
                {codes::unknown_value, volume.cache->span,
                 fmt::format("{} has no cache mode `{}`", traits.title, printable(volume.cache->value)),
                 meant.empty() ? fmt::format("it has {}", list_or(traits.cache_modes))
                               : fmt::format("did you mean `{}`?", meant)});
        }
        const bool discards = traits.capability("volume.discard").support != Support::unsupported;
        if (volume.discard.value && discards && !has(traits.discard_formats, volume.format.value)) {
            candidate.obstacles.push_back(
                {codes::unsupported, volume.discard.span,
                 fmt::format("{} gives no blocks of {} images back", traits.title, volume.format.value),
                 fmt::format("use format {}", list_or(traits.discard_formats))});
        }
    }
}

void check_needs(const Inputs& in, Draft& draft, Candidate& candidate) {
    const Traits& traits = *candidate.traits;
    const auto refuse = [&](std::string_view name, const Span& span) {
        std::string message = refusal(traits, name, candidate.version);
        if (message.empty()) { return; }
        const Capability& capability = traits.capability(name);
        const auto known = std::ranges::find(known_capabilities(), name, &CapabilityName::name);
        const std::string_view remedy = !capability.remedy.empty()            ? capability.remedy
                                        : known == known_capabilities().end() ? std::string_view{}
                                                                              : known->remedy;
        candidate.obstacles.push_back({codes::unsupported, span, std::move(message), std::string(remedy)});
    };
    for (const Need& need : draft.config->needs) { refuse(need.capability, need.span); }
    for (std::size_t i = 0; i < draft.plan.shares.size(); ++i) {
        const ShareConfig& share = draft.config->shares[i];
        const Span span = share.proto.span.known() ? share.proto.span : share.name.span;
        if (share.proto.value != "auto") { refuse(find_capability("share." + share.proto.value), span); }
        const std::size_t before = candidate.obstacles.size();
        ShareWay way = share_way(in, draft, traits, i);
        take_way(way, draft.plan.shares[i]); // for what the hypervisor's own code says of it
        if (way.problem.empty() || candidate.obstacles.size() != before) { continue; }
        candidate.obstacles.push_back({codes::unsupported, span, std::move(way.problem), std::move(way.help)});
    }
    for (const InterfacePlan& interface : draft.plan.interfaces) {
        const auto said = std::ranges::find_if(
            draft.config->interfaces, [&](const InterfaceConfig& each) { return each.name.value == interface.name; });
        const bool implied = said == draft.config->interfaces.end();
        // What it joins has asked for the type already.
        if (!implied && !said->type && (said->network || said->bridge || said->link)) { continue; }
        refuse(find_capability("interface." + interface.type), implied ? draft.config->name.span : said->name.span);
    }
    for (const InterfaceConfig& interface : draft.config->interfaces) {
        if (!interface.managed.value) { refuse("interface.unmanaged", interface.managed.span); }
        if (!interface.address.empty() && interface.address.front().value != "dhcp") {
            refuse("interface.address", interface.address.front().span);
        }
    }
    for (const ForwardConfig& forward : draft.config->forward_ports) {
        if (forward.from.value == "guest") { refuse("forward.guest", forward.from.span); }
        for (const auto* end : {&forward.host, &forward.guest}) {
            if (!*end || !(*end)->address || !is_ipv6((*end)->address->value)) { continue; }
            refuse("forward.ipv6", (*end)->address->span);
            break;
        }
    }
    check_volumes(draft, candidate);
    if (draft.plan.root.kind == RootPlan::Kind::share) {
        refuse("root.share", draft.config->root ? draft.config->root->span : draft.config->name.span);
    }
    if (draft.plan.root.kind == RootPlan::Kind::image) {
        const RootConfig& root = *draft.config->root;
        refuse(find_capability("volume." + draft.plan.root.format), root.format ? root.format->span : root.image->span);
    }
    if (const std::string& overlay = draft.plan.root.overlay; overlay != "tmpfs" && overlay != "none") {
        refuse("root.overlay-volume", draft.config->root->overlay->span);
    }
    if (draft.config->balloon.value == "auto") { refuse("balloon.auto", draft.config->balloon.span); }
    if (draft.plan.vcpu > traits.max_vcpu) {
        candidate.obstacles.push_back({codes::too_many_vcpus,
                                       draft.config->vcpu.span,
                                       fmt::format("{} has at most {} virtual CPUs", traits.title, traits.max_vcpu),
                                       {}});
    }
}

/// What is known of how the machine's kernel was built; null: nothing.
const KernelOptions* options_of_kernel(const Inputs& in, const Draft& draft) {
    const auto named = [](const auto& map, const std::string& path) {
        const auto found = map.find(path);
        return found == map.end() ? nullptr : &found->second;
    };
    if (draft.config->kernel_config) { return named(in.facts.kernel_configs, draft.config->kernel_config->value); }
    const KernelFacts* kernel = named(in.facts.named_kernels, draft.plan.kernel.source);
    return kernel == nullptr ? nullptr : &kernel->options;
}

/// Before anything starts: a kernel that was built without what the machine needs.
void check_kernel(const Inputs& in, const Draft& draft, Candidate& candidate) {
    const KernelOptions* options = options_of_kernel(in, draft);
    if (options == nullptr || options->empty() || !candidate.traits->kernel_options) { return; }
    const std::string lacks = kernel_lacks(draft.plan, *options, candidate.traits->kernel_options(draft.plan));
    if (lacks.empty()) { return; }
    candidate.obstacles.push_back({codes::kernel_lacks, draft.config->kernel.span,
                                   fmt::format("{}, which {} needs for this machine", lacks, candidate.traits->title),
                                   "build it with them, or take another kernel"});
}

/// What the hypervisor's own code says of the machine.
void choose_machine(const Inputs& in, Draft& draft, Candidate& candidate) {
    if (!draft.has_kernel || !candidate.obstacles.empty()) { return; }
    draft.plan.hypervisor = candidate.traits->name;
    draft.plan.program = candidate.program;
    draft.plan.program_version = candidate.version;
    draft.plan.accel = candidate.accel;
    draft.plan.kernel.params.clear(); // so far the user's own
    for (const auto& param : draft.config->kernel_params) { draft.plan.kernel.params.push_back(param.value); }
    candidate.choice = candidate.traits->choose_machine(draft.plan, in.facts);
    for (Problem& problem : candidate.choice.problems) {
        candidate.obstacles.push_back({problem.key.empty() ? codes::too_many_devices : codes::host_lacks,
                                       written_at(in, draft, problem.key), std::move(problem.message),
                                       std::move(problem.help)});
    }
    draft.plan.machine = candidate.choice.machine;
    draft.plan.kernel.image = candidate.choice.kernel_image;
    check_kernel(in, draft, candidate);
}

Candidate examine(const Inputs& in, Draft& draft, const Traits& traits, const Span& said) {
    Candidate candidate;
    candidate.traits = &traits;
    find_program(in, draft, said, candidate);
    if (candidate.obstacles.empty()) { find_accel(in, draft, candidate); }
    check_needs(in, draft, candidate);
    choose_machine(in, draft, candidate);
    return candidate;
}

/// Those that the machine's `hypervisor` lets be chosen, in the order of preference, and where it says so.
std::vector<std::pair<const Traits*, Span>> allowed_by(const Inputs& in, const VmConfig& config) {
    std::vector<std::pair<const Traits*, Span>> allowed;
    for (const auto& name : config.hypervisor) {
        for (const Traits& traits : in.traits) {
            const bool listed = std::ranges::any_of(allowed, [&](const auto& each) { return each.first == &traits; });
            if (!listed && (name.value == "auto" || name.value == traits.name)) {
                allowed.emplace_back(&traits, name.span.known() ? name.span : config.name.span);
            }
        }
    }
    return allowed;
}

} // namespace

static bool has_obstacle(const Candidate& candidate, std::initializer_list<std::string_view> which) {
    return std::ranges::any_of(candidate.obstacles, [&](const Obstacle& obstacle) {
        return std::ranges::find(which, std::string_view(obstacle.code)) != which.end();
    });
}

/// The only one that there was, else the only one that the host could run guests by, else the only one that it has:
/// what keeps it from running the machine is what its user wants to know. Null: there are several, or none.
static Candidate* only_one_at_hand(std::vector<Candidate>& refused) {
    if (refused.size() == 1) { return &refused.front(); }
    for (const bool runs : {true, false}) {
        const auto is_at_hand = [runs](const Candidate& candidate) {
            return !has_obstacle(candidate, {codes::no_hypervisor, codes::foreign_arch}) &&
                   !(runs && has_obstacle(candidate, {codes::no_accel}));
        };
        if (std::ranges::count_if(refused, is_at_hand) == 1) { return &*std::ranges::find_if(refused, is_at_hand); }
    }
    return nullptr;
}

static void warn_of_kvm(const Inputs& in, const Draft& draft) {
    in.diagnostics
        .warning(codes::incomplete_kvm, draft.config->kernel.span,
                 fmt::format("KVM runs few kernels here: {}", in.facts.kvm.reason))
        .help = "it is tried with yours, since you name it";
}

bool hypervisor(const Inputs& in, Draft& draft) {
    const auto allowed = allowed_by(in, *draft.config);
    const bool automatic = std::ranges::find(draft.config->hypervisor, "auto", &Located<std::string>::value) !=
                           draft.config->hypervisor.end();
    std::vector<Candidate> refused;
    for (const auto& [traits, said] : allowed) {
        Candidate candidate = examine(in, draft, *traits, said);
        if (!candidate.obstacles.empty()) {
            refused.push_back(std::move(candidate));
            continue;
        }
        VmPlan& plan = draft.plan;
        draft.traits = traits;
        draft.choice = std::move(candidate.choice);
        plan.hypervisor = traits->name;
        plan.program = candidate.program;
        plan.program_version = candidate.version;
        plan.accel = candidate.accel;
        plan.accel_reason = std::move(candidate.accel_reason);
        if (candidate.on_incomplete_kvm) { warn_of_kvm(in, draft); }
        plan.hypervisor_reason = allowed.size() == 1 && !automatic ? "named" : "the first that can do it all";
        for (const Candidate& other : refused) {
            plan.hypervisor_reason += fmt::format("; {}", other.obstacles.front().message);
        }
        return true;
    }
    if (Candidate* only = only_one_at_hand(refused); only != nullptr) {
        for (Obstacle& obstacle : only->obstacles) {
            in.diagnostics.error(obstacle.code, obstacle.span, std::move(obstacle.message)).help =
                std::move(obstacle.help);
        }
        return false;
    }
    const Span span = allowed.empty() ? draft.config->name.span : allowed.front().second;
    auto& diagnostic =
        in.diagnostics.error(codes::no_hypervisor, span, fmt::format("no hypervisor can run `{}`", draft.plan.name));
    if (!refused.empty()) { diagnostic.help = refused.front().obstacles.front().help; }
    for (const Candidate& candidate : refused) {
        for (const Obstacle& obstacle : candidate.obstacles) {
            diagnostic.notes.push_back({obstacle.span == span ? Span{} : obstacle.span, obstacle.message});
        }
    }
    return false;
}

std::vector<HypervisorChoice> hypervisor_choices(const Inputs& in, Draft& draft) {
    const auto allowed = allowed_by(in, *draft.config);
    std::vector<HypervisorChoice> choices;
    const auto add = [&](const Traits& traits, const Span& said, bool is_allowed) {
        const Candidate candidate = examine(in, draft, traits, said);
        HypervisorChoice& choice = choices.emplace_back();
        choice.name = traits.name;
        choice.program = candidate.program;
        choice.version = candidate.version;
        choice.accel = candidate.accel;
        choice.accel_reason = candidate.accel_reason;
        choice.allowed = is_allowed;
        for (const Obstacle& obstacle : candidate.obstacles) { choice.reasons.push_back(obstacle.message); }
        if (!is_allowed) { choice.reasons.emplace_back("`hypervisor` doesn't allow it"); }
        choice.chosen = choice.reasons.empty() &&
                        std::ranges::none_of(choices, [](const HypervisorChoice& each) { return each.chosen; });
    };
    for (const auto& [traits, said] : allowed) { add(*traits, said, true); }
    for (const Traits& traits : in.traits) {
        if (std::ranges::find(allowed, &traits, &std::pair<const Traits*, Span>::first) == allowed.end()) {
            add(traits, draft.config->name.span, false);
        }
    }
    return choices;
}

} // namespace microvmc::resolving
