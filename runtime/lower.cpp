#include "runtime/lower.h"

#include "compiler/file_system.h"
#include "runtime/backend.h"
#include "runtime/backends/parts.h"
#include "runtime/cloud_init.h"
#include "runtime/error.h"
#include "runtime/guest_spec.h"
#include "runtime/initramfs.h"
#include "runtime/lower_network.h"
#include "runtime/share_image.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace microvmc {

namespace {

constexpr std::int64_t default_stop_timeout_ms = 60'000; ///< of a machine whose plan is not known

std::string record_path(const std::string& state_dir) {
    return state_dir + "/plan.json";
}

WriteFile write_record(const VmPlan& vm) {
    return {.path = record_path(vm.state_dir), .content = nlohmann::json(vm).dump(2) + '\n'};
}

WriteFile write_networks(const Plan& plan) {
    return {.path = plan.project_state_dir + "/networks.json", .content = nlohmann::json(plan.networks).dump(2) + '\n'};
}

std::string parent_of(const std::string& path) {
    return path.substr(0, path.rfind('/'));
}

// Makes `path` and what lacks above it, down from `base`, which exists; nothing when it isn't below that.
void make_directories(std::vector<Action>& actions, const std::string& base, const std::string& path) {
    if (!path.starts_with(base + '/')) { return; }
    for (std::size_t end = base.size(); end != std::string::npos;) {
        end = path.find('/', end + 1);
        Action action = MakeDirectory{.path = path.substr(0, end)};
        if (std::ranges::find(actions, action) == actions.end()) { actions.push_back(std::move(action)); }
    }
}

ToolFacts tool(const HostFacts& facts, const std::string& name) {
    const auto found = facts.tools.find(name);
    return found == facts.tools.end() ? ToolFacts{} : found->second;
}

std::string ready_name(ReadyPlan::Kind kind) {
    switch (kind) {
    case ReadyPlan::Kind::init: return "init";
    case ReadyPlan::Kind::tcp: return "tcp";
    case ReadyPlan::Kind::http: return "http";
    case ReadyPlan::Kind::console: return "console";
    case ReadyPlan::Kind::command: return "command";
    case ReadyPlan::Kind::notify: return "notify";
    case ReadyPlan::Kind::exit: return "exit";
    }
    return {};
}

// What starting a machine takes, from its plan alone.
struct Prepared {
    std::optional<BuildInitramfs> initramfs; ///< none: its own loader finds what it needs
    Lowered lowered;
};

Lowered lower_by(const Backend& its, const VmPlan& vm, const std::string& initramfs) {
    Lowered lowered = its.lower(vm, initramfs);
    lowered.children.back().user = vm.vmm_user;
    return lowered;
}

Prepared prepare(const VmPlan& vm, const HostFacts& facts) {
    const Backend& its = backend(vm.hypervisor);
    // What goes in the initramfs doesn't depend on where it lies, which is named by what goes in it.
    Lowered unnamed = lower_by(its, vm, {});
    if (!vm.firmware.empty()) { return {std::nullopt, std::move(unnamed)}; }
    const bool has_userland = vm.root.kind == RootPlan::Kind::initramfs && vm.kernel.initrd.empty();
    const ToolFacts busybox = has_userland ? tool(facts, "busybox") : ToolFacts{};
    BuildInitramfs initramfs;
    initramfs.busybox = busybox.path;
    initramfs.initrd = vm.kernel.initrd;
    initramfs.init = facts.guest_init.path;
    initramfs.modules_dir = vm.kernel.pin + "/modules";
    initramfs.modules = unnamed.modules;
    initramfs.file_systems = unnamed.file_systems;
    initramfs.spec = guest_spec(vm, unnamed);
    initramfs.key =
        initramfs_key(busybox, facts.guest_init, vm.kernel, initramfs.modules, initramfs.file_systems, initramfs.spec);
    initramfs.output = fmt::format("{}/cache/initramfs/{}.cpio", facts.state_dir, initramfs.key);
    Lowered lowered = lower_by(its, vm, initramfs.output);
    return {std::move(initramfs), std::move(lowered)};
}

Limits limits_of(const VmPlan& vm) {
    Limits limits{.cpu = vm.limits.cpu,
                  .mem_mib = vm.limits.mem_mib,
                  .pids = vm.limits.pids,
                  .io_read_mib = vm.limits.io_read_mib,
                  .io_write_mib = vm.limits.io_write_mib};
    if (limits.io_read_mib != 0 || limits.io_write_mib != 0) {
        for (const VolumePlan& volume : vm.volumes) { limits.io_paths.push_back(volume.image); }
    }
    return limits;
}

Launch launch_of(const std::string& project, const VmPlan& vm, const Lowered& lowered, const HostFacts& facts) {
    Launch launch;
    launch.project = project;
    launch.vm = vm.name;
    launch.children = lowered.children;
    launch.agent = lowered.agent;
    launch.ready_kind = ready_name(vm.ready.kind);
    launch.ready_text = vm.ready.text;
    launch.ready_status = vm.ready.status;
    launch.restart.policy = vm.restart.policy;
    launch.restart.delay_ms = vm.restart.delay_ms;
    launch.restart.limit = vm.restart.limit;
    launch.startup_timeout_ms = vm.startup_timeout_ms;
    launch.shutdown_timeout_ms = vm.shutdown_timeout_ms;
    launch.taps = taps_of(vm);
    launch.release = releases_of(vm, facts);
    launch.runtime_dir = vm.runtime_dir;
    launch.console_piece = lowered.console_piece;
    launch.console_log = vm.state_dir + "/console.log";
    launch.vmm_log = vm.state_dir + "/vmm.log";
    launch.event_log = vm.state_dir + "/events.log";
    launch.end_file = vm.state_dir + "/end.json";
    launch.pre_start = vm.pre_start;
    launch.post_stop = vm.post_stop;
    launch.limits = limits_of(vm);
    if (vm.root.kind == RootPlan::Kind::image) {
        launch.images.push_back({.path = vm.root.source, .read_only = vm.root.read_only});
    }
    for (const VolumePlan& volume : vm.volumes) {
        launch.images.push_back({.path = volume.image, .read_only = volume.read_only});
        // Of a copy, what it was made of is no longer needed.
        if (!volume.backing.empty() && volume.format == "qcow2") {
            launch.images.push_back({.path = volume.backing, .read_only = true});
        }
    }
    for (const SharePlan& share : vm.shares) {
        if (share.proto == "image") {
            launch.images.push_back({.path = share_image_path(vm, share), .read_only = true});
        }
    }
    launch.plan = vm;
    return launch;
}

void append_volume(std::vector<Action>& actions, const VolumePlan& volume, const ObservedVm* observed,
                   const HostFacts& facts) {
    if (!volume.auto_create) { return; }
    const std::string qemu_img =
        volume.format == "raw" && volume.backing.empty() ? "" : tool(facts, std::string(image_program)).path;
    const auto grow = [&] {
        actions.emplace_back(GrowVolume{
            .image = volume.image, .size_mib = volume.size_mib, .format = volume.format, .qemu_img = qemu_img});
    };
    const auto same_image = [&](const VolumePlan& old) { return old.name == volume.name && old.image == volume.image; };
    if (observed != nullptr && observed->plan && std::ranges::any_of(observed->plan->volumes, same_image)) {
        const auto size = observed->volumes.find(volume.name);
        if (size != observed->volumes.end()) {
            if (size->second < volume.size_mib) { grow(); }
            return;
        }
    }
    // One that was kept when its machine's record was destroyed.
    const auto kept = facts.paths.find(volume.image);
    if (kept != facts.paths.end() && kept->second.kind == PathFacts::Kind::file) {
        const std::uint64_t size = volume.format == "raw" ? kept->second.size : kept->second.image.size;
        if (size >> 20U < volume.size_mib) { grow(); }
        return;
    }
    make_directories(actions, facts.state_dir, parent_of(volume.image));
    const FileSystemInfo* file_system = find_file_system(volume.fs_type);
    actions.emplace_back(
        CreateVolume{.volume = volume,
                     .mkfs = file_system == nullptr ? ToolFacts{} : tool(facts, std::string(file_system->mkfs)),
                     .qemu_img = qemu_img});
}

void append(std::vector<Action>& to, std::vector<Action> actions) {
    to.insert(to.end(), std::make_move_iterator(actions.begin()), std::make_move_iterator(actions.end()));
}

// What takes long, or may fail, and disturbs no machine that runs.
std::vector<Action> preparing(const VmPlan& vm, const HostFacts& facts) {
    std::vector<Action> actions;
    if (!vm.credentials.empty()) {
        actions.emplace_back(
            ReadCredentials{.vm = vm.name, .runtime_dir = vm.runtime_dir, .credentials = vm.credentials});
    }
    const RootPlan& root = vm.root;
    if (root.image.empty()) { return actions; }
    make_directories(actions, facts.state_dir, parent_of(root.image));
    actions.emplace_back(BuildRoot{.kind = root.kind,
                                   .source = root.source,
                                   .fs_type = root.fs_type,
                                   .arch = root.arch,
                                   .uuid = root.uuid,
                                   .output = root.image});
    return actions;
}

// What a machine's processes need to be there, but its volumes.
void make_place(std::vector<Action>& actions, const VmPlan& vm, const Prepared& prepared, const HostFacts& facts) {
    make_directories(actions, facts.state_dir, vm.state_dir);
    make_directories(actions, facts.runtime_dir, vm.runtime_dir);
    if (prepared.initramfs) {
        make_directories(actions, facts.state_dir, parent_of(vm.kernel.pin));
        make_directories(actions, facts.state_dir, parent_of(prepared.initramfs->output));
        actions.emplace_back(PinKernel{vm.kernel});
    }
    if (!vm.cloud_init.instance_id.empty()) {
        actions.emplace_back(
            BuildCloudInit{.source = vm.cloud_init, .hostname = vm.hostname, .output = cloud_init_path(vm)});
    }
    for (const SharePlan& share : vm.shares) {
        if (share.proto != "image") { continue; }
        const std::string image = share_image_path(vm, share);
        make_directories(actions, facts.state_dir, parent_of(image));
        actions.emplace_back(BuildShareImage{.source = share.source, .output = image});
    }
}

void append_start(std::vector<Action>& actions, const std::string& project, const VmPlan& vm,
                  const ObservedVm* observed, const Neighbours& neighbours, const HostFacts& facts) {
    Prepared prepared = prepare(vm, facts);
    make_place(actions, vm, prepared, facts);
    for (const VolumePlan& volume : vm.volumes) { append_volume(actions, volume, observed, facts); }
    if (prepared.initramfs) { actions.emplace_back(std::move(*prepared.initramfs)); }
    actions.emplace_back(write_record(vm));
    append(actions, lower_networks(project, vm, neighbours, facts));
    actions.emplace_back(
        StartMachine{.launch = launch_of(project, vm, prepared.lowered, facts), .control = prepared.lowered.control});
    actions.emplace_back(AwaitReady{.vm = vm.name, .runtime_dir = vm.runtime_dir, .timeout_ms = vm.startup_timeout_ms});
}

// Volumes of a running machine that are larger now.
void append_growth(std::vector<Action>& actions, const VmPlan& vm, const ObservedVm* observed) {
    if (observed == nullptr || !observed->plan) { return; }
    const VmPlan& running = *observed->plan;
    for (const VolumePlan& volume : vm.volumes) {
        const auto has = observed->volumes.find(volume.name);
        const auto its = std::ranges::find(running.volumes, volume.name, &VolumePlan::name);
        if (has == observed->volumes.end() || its == running.volumes.end() || has->second >= volume.size_mib) {
            continue;
        }
        actions.emplace_back(GrowRunningVolume{
            .vm = vm.name,
            .hypervisor = running.hypervisor,
            .control = backend(running.hypervisor).lower(running, {}).control,
            .number = static_cast<std::size_t>(its - running.volumes.begin()),
            .disk = disk_number(running, volume.name),
            .image = its->image,
            .size_mib = volume.size_mib,
        });
    }
}

StopMachine stop_of(const ObservedVm& observed, const std::string& runtime_dir) {
    const std::int64_t timeout = observed.plan ? observed.plan->shutdown_timeout_ms : default_stop_timeout_ms;
    return {.vm = observed.name, .runtime_dir = runtime_dir, .timeout_ms = timeout};
}

// Beside the image: what becomes its content, and then what was.
std::string restored_path(const std::string& image) {
    const std::size_t name = image.rfind('/') + 1;
    return fmt::format("{}.{}.restored", image.substr(0, name), image.substr(name));
}

// What is known of a machine; of one that nothing is known of, its name.
ObservedVm known(const ObservedVm* observed, const std::string& name) {
    if (observed != nullptr) { return *observed; }
    ObservedVm unknown;
    unknown.name = name;
    return unknown;
}

const VmPlan& planned(const Plan& plan, const std::string& name) {
    const auto found = std::ranges::find(plan.vms, name, &VmPlan::name);
    if (found == plan.vms.end()) { throw Error(fmt::format("the plan has changes of {}, and no such machine", name)); }
    return *found;
}

Neighbours neighbours_of(const Observed& observed) {
    Neighbours neighbours{observed.networks, {}};
    for (const ObservedVm& each : observed.vms) {
        if (each.plan) { neighbours.vms.push_back(&*each.plan); }
    }
    return neighbours;
}

// What it was in, as far as that is known, is left to the others. `stays`: the plan whose networks it stays in: they
// are not taken down under those who join them at the same time.
void append_release(std::vector<Action>& actions, const ObservedVm* observed, const VmPlan* stays = nullptr) {
    if (observed == nullptr || !observed->plan) { return; }
    std::vector<Action> releases = release_networks(*observed->plan);
    std::erase_if(releases, [stays](const Action& action) {
        const auto* release = std::get_if<ReleaseNetwork>(&action);
        return stays != nullptr && release != nullptr &&
               std::ranges::find(stays->interfaces, release->bridge, &InterfacePlan::bridge) != stays->interfaces.end();
    });
    append(actions, std::move(releases));
}

bool is_started(ChangeKind kind) {
    switch (kind) {
    case ChangeKind::create:
    case ChangeKind::start:
    case ChangeKind::restart: return true;
    case ChangeKind::none:
    case ChangeKind::stop:
    case ChangeKind::in_place:
    case ChangeKind::update:
    case ChangeKind::destroy: return false;
    }
    return false;
}

// Of one machine, what frees something for others.
std::vector<Action> freeing(const VmChange& change, const Plan& plan, const ObservedVm* observed) {
    switch (change.kind) {
    case ChangeKind::destroy: {
        const MachinePlace place{.name = change.vm,
                                 .state_dir = plan.project_state_dir + '/' + change.vm,
                                 .runtime_dir = plan.project_runtime_dir + '/' + change.vm};
        return lower_destroy(known(observed, change.vm), place, false);
    }
    case ChangeKind::stop: {
        const VmPlan& vm = planned(plan, change.vm);
        std::vector<Action> actions = lower_stop(observed != nullptr && observed->plan ? *observed->plan : vm);
        append_release(actions, observed);
        actions.emplace_back(write_record(vm));
        return actions;
    }
    case ChangeKind::none:
    case ChangeKind::create:
    case ChangeKind::start:
    case ChangeKind::in_place:
    case ChangeKind::restart:
    case ChangeKind::update: return {};
    }
    return {};
}

// What a running machine is told of its changes; all else is the record's.
void append_in_place(std::vector<Action>& actions, const VmPlan& vm, const ObservedVm* observed,
                     const HostFacts& facts) {
    if (observed == nullptr || !observed->plan) { return; }
    const VmPlan& before = *observed->plan;
    if (before.mem_mib != vm.mem_mib) {
        actions.emplace_back(ResizeMemory{
            .vm = vm.name, .runtime_dir = vm.runtime_dir, .before_mib = before.mem_mib, .mib = vm.mem_mib});
    }
    if (before.mem_mib == vm.mem_mib && before.post_stop == vm.post_stop) { return; }
    VmPlan next = before;
    next.mem_mib = vm.mem_mib;
    actions.emplace_back(AmendMachine{
        .vm = vm.name,
        .runtime_dir = vm.runtime_dir,
        .before = {.children = commands(before, facts), .post_stop = before.post_stop},
        .after = {.children = commands(next, facts), .post_stop = vm.post_stop},
    });
}

// Of one machine, the rest.
std::vector<Action> taking(const VmChange& change, const Plan& plan, const ObservedVm* observed,
                           const Neighbours& neighbours, const HostFacts& facts) {
    std::vector<Action> actions;
    switch (change.kind) {
    case ChangeKind::create:
    case ChangeKind::start:
        append_start(actions, plan.project, planned(plan, change.vm), observed, neighbours, facts);
        break;
    case ChangeKind::restart: {
        const VmPlan& vm = planned(plan, change.vm);
        actions.emplace_back(stop_of(known(observed, vm.name), vm.runtime_dir));
        append_release(actions, observed, &vm);
        append_start(actions, plan.project, vm, observed, neighbours, facts);
        break;
    }
    case ChangeKind::in_place:
    case ChangeKind::update: {
        const VmPlan& vm = planned(plan, change.vm);
        make_directories(actions, facts.state_dir, vm.state_dir);
        if (change.kind == ChangeKind::in_place) {
            append_growth(actions, vm, observed);
            append_in_place(actions, vm, observed, facts);
        }
        actions.emplace_back(write_record(vm));
        break;
    }
    case ChangeKind::none:
    case ChangeKind::stop:
    case ChangeKind::destroy: break;
    }
    return actions;
}

// The groups by name, each after those that it is to come after. There is no circle: the plan has none.
std::vector<ActionGroup> sorted(std::vector<ActionGroup> groups) {
    std::vector<ActionGroup> order;
    std::set<std::string> placed;
    std::set<std::string> all;
    for (const ActionGroup& group : groups) { all.insert(group.name); }
    while (order.size() < groups.size()) {
        const std::size_t before = order.size();
        for (ActionGroup& group : groups) {
            const bool waits = std::ranges::any_of(
                group.after, [&](const std::string& name) { return all.contains(name) && !placed.contains(name); });
            if (placed.contains(group.name) || waits) { continue; }
            placed.insert(group.name);
            order.push_back(group);
        }
        if (order.size() == before) { throw Error("machines wait for each other"); }
    }
    return order;
}

// Who depends on a machine is stopped before it.
void stop_dependants_first(std::vector<ActionGroup>& stops, const Observed& observed) {
    for (ActionGroup& group : stops) {
        for (const ActionGroup& other : stops) {
            const ObservedVm* dependant = observed.find(other.vm);
            if (dependant == nullptr || !dependant->plan) { continue; }
            const auto& needs = dependant->plan->depends_on;
            if (std::ranges::find(needs, group.vm) != needs.end()) { group.after.push_back(other.name); }
        }
    }
    stops = sorted(std::move(stops));
}

// Those that are started with it come before; the others run or have run, and are waited for.
void await_dependencies(ActionGroup& group, const VmPlan& vm, const std::vector<ActionGroup>& starts) {
    std::vector<Action> first;
    for (const std::string& name : vm.depends_on) {
        if (std::ranges::find(starts, name, &ActionGroup::name) != starts.end()) {
            if (std::ranges::find(group.after, name) == group.after.end()) { group.after.push_back(name); }
            continue;
        }
        first.emplace_back(AwaitReady{
            .vm = name, .runtime_dir = parent_of(vm.runtime_dir) + '/' + name, .timeout_ms = vm.startup_timeout_ms});
    }
    group.actions.insert(group.actions.begin(), first.begin(), first.end());
}

// Each after the one before it, in the order in which they may: most of a project stays up.
void restart_one_by_one(std::vector<ActionGroup>& starts, const std::set<std::string>& restarts) {
    std::string last;
    for (ActionGroup& group : starts) {
        if (!restarts.contains(group.vm)) { continue; }
        if (!last.empty()) { group.after.push_back(last); }
        last = group.name;
    }
}

// What an action makes that others may need, too; nothing when it is its machine's alone. Whoever makes the same of
// the same name makes the same of it.
struct Makes {
    std::string operator()(const MakeDirectory& action) const { return "directory " + action.path; }
    std::string operator()(const PinKernel& action) const { return "kernel " + action.kernel.pin; }
    std::string operator()(const BuildInitramfs& action) const { return "initramfs " + action.output; }
    std::string operator()(const ReadCredentials& /*action*/) const { return {}; }
    std::string operator()(const BuildRoot& action) const { return "root " + action.output; }
    std::string operator()(const BuildCloudInit& /*action*/) const { return {}; }
    std::string operator()(const BuildShareImage& /*action*/) const { return {}; }
    std::string operator()(const CreateVolume& action) const { return "volume " + action.volume.image; }
    std::string operator()(const GrowVolume& action) const { return "grown " + action.image; }
    std::string operator()(const GrowRunningVolume& /*action*/) const { return {}; }
    std::string operator()(const EnsureNetwork& action) const { return "network " + action.up.network.bridge; }
    std::string operator()(const MakeTap& /*action*/) const { return {}; }
    std::string operator()(const ReleaseNetwork& /*action*/) const { return {}; }
    std::string operator()(const WriteFile& /*action*/) const { return {}; }
    std::string operator()(const DeleteVolume& /*action*/) const { return {}; }
    std::string operator()(const CopyFile& /*action*/) const { return {}; }
    std::string operator()(const SwapFiles& /*action*/) const { return {}; }
    std::string operator()(const ResizeMemory& /*action*/) const { return {}; }
    std::string operator()(const AmendMachine& /*action*/) const { return {}; }
    std::string operator()(const StartMachine& /*action*/) const { return {}; }
    std::string operator()(const AwaitReady& /*action*/) const { return {}; }
    std::string operator()(const StopMachine& /*action*/) const { return {}; }
    std::string operator()(const RemoveTree& /*action*/) const { return {}; }
    std::string operator()(const RemoveFile& /*action*/) const { return {}; }
    std::string operator()(const RemoveDirectory& /*action*/) const { return {}; }
};

// What several of the groups do, done once before all of them: directories, kernels, images.
ActionGroup shared_of(std::vector<ActionGroup>& groups) {
    ActionGroup shared{.name = "(shared)", .vm = {}, .after = {}, .actions = {}};
    std::map<std::string, std::size_t> makers;
    for (const ActionGroup& group : groups) {
        for (const Action& action : group.actions) { ++makers[std::visit(Makes{}, action)]; }
    }
    makers.erase("");
    std::set<std::string> taken;
    for (ActionGroup& group : groups) {
        std::erase_if(group.actions, [&](Action& action) {
            const std::string made = std::visit(Makes{}, action);
            const auto found = makers.find(made);
            if (found == makers.end() || found->second < 2) { return false; }
            if (taken.insert(made).second) { shared.actions.push_back(std::move(action)); }
            return true;
        });
    }
    return shared;
}

// What takes long, or may fail, is done for each machine before any is stopped for its sake; each thing once.
std::vector<ActionGroup> prepared(const Plan& plan, const Changes& changes, const HostFacts& facts) {
    std::vector<ActionGroup> groups;
    std::map<std::string, std::string> makers; // what is made -> the group that makes it
    for (const VmChange& change : changes.vms) {
        if (!is_started(change.kind)) { continue; }
        ActionGroup group{.name = "prepare " + change.vm, .vm = {}, .after = {}, .actions = {}};
        for (Action& action : preparing(planned(plan, change.vm), facts)) {
            const std::string made = std::visit(Makes{}, action);
            const auto [maker, is_new] = makers.try_emplace(made, group.name);
            if (made.empty() || is_new) {
                group.actions.push_back(std::move(action));
            } else if (std::ranges::find(group.after, maker->second) == group.after.end()) {
                group.after.push_back(maker->second);
            }
        }
        if (!group.actions.empty() || !group.after.empty()) { groups.push_back(std::move(group)); }
    }
    return groups;
}

// `first`: what is done before any of them is started, beside what they share.
std::vector<ActionGroup> assembled(std::vector<ActionGroup> prepares, std::vector<ActionGroup> stops,
                                   const std::vector<Action>& first, std::vector<ActionGroup> starts) {
    std::vector<std::string> before;
    for (const ActionGroup& group : stops) { before.push_back(group.name); }
    ActionGroup shared = shared_of(starts);
    std::erase_if(shared.actions,
                  [&first](const Action& action) { return std::ranges::find(first, action) != first.end(); });
    shared.actions.insert(shared.actions.begin(), first.begin(), first.end());
    shared.after = before;
    std::vector<ActionGroup> groups = std::move(prepares);
    for (ActionGroup& group : starts) {
        const std::string its = "prepare " + group.vm;
        if (std::ranges::find(groups, its, &ActionGroup::name) != groups.end()) { group.after.push_back(its); }
    }
    std::ranges::move(stops, std::back_inserter(groups));
    for (ActionGroup& group : starts) {
        if (shared.actions.empty()) {
            group.after.insert(group.after.end(), before.begin(), before.end());
        } else {
            group.after.push_back(shared.name);
        }
    }
    if (!shared.actions.empty()) { groups.push_back(std::move(shared)); }
    for (ActionGroup& group : sorted(std::move(starts))) { groups.push_back(std::move(group)); }
    return groups;
}

} // namespace

std::vector<ActionGroup> lower_groups(const Plan& plan, const Changes& changes, const Observed& observed,
                                      const HostFacts& facts) {
    std::vector<ActionGroup> stops;
    for (const VmChange& change : changes.vms) {
        std::vector<Action> actions = freeing(change, plan, observed.find(change.vm));
        if (actions.empty()) { continue; }
        stops.push_back({.name = "stop " + change.vm, .vm = change.vm, .after = {}, .actions = std::move(actions)});
    }
    stop_dependants_first(stops, observed);

    std::vector<Action> first;
    if (!changes.empty() && plan.networks != observed.networks) {
        make_directories(first, facts.state_dir, plan.project_state_dir);
        first.emplace_back(write_networks(plan));
    }
    Neighbours neighbours{plan.networks, {}};
    for (const VmPlan& vm : plan.vms) { neighbours.vms.push_back(&vm); }
    std::vector<ActionGroup> starts;
    std::set<std::string> restarts;
    for (const VmChange& change : changes.vms) {
        std::vector<Action> actions = taking(change, plan, observed.find(change.vm), neighbours, facts);
        if (actions.empty()) { continue; }
        starts.push_back({.name = change.vm, .vm = change.vm, .after = {}, .actions = std::move(actions)});
        if (change.kind == ChangeKind::restart) { restarts.insert(change.vm); }
    }
    for (ActionGroup& group : starts) {
        const auto starts_it = [](const Action& action) { return std::holds_alternative<StartMachine>(action); };
        if (std::ranges::any_of(group.actions, starts_it)) {
            await_dependencies(group, planned(plan, group.vm), starts);
        }
    }
    starts = sorted(std::move(starts));
    restart_one_by_one(starts, restarts);
    return assembled(prepared(plan, changes, facts), std::move(stops), first, std::move(starts));
}

std::vector<ActionGroup> lower_starts(const std::string& project, const std::vector<const VmPlan*>& vms,
                                      const Observed& observed, const HostFacts& facts) {
    std::vector<ActionGroup> starts;
    for (const VmPlan* vm : vms) {
        starts.push_back(
            {.name = vm->name, .vm = vm->name, .after = {}, .actions = lower_start(project, *vm, observed, facts)});
    }
    for (std::size_t i = 0; i < vms.size(); ++i) { await_dependencies(starts[i], *vms[i], starts); }
    return assembled({}, {}, {}, std::move(starts));
}

std::vector<Action> lower(const Plan& plan, const Changes& changes, const Observed& observed, const HostFacts& facts) {
    std::vector<Action> actions;
    for (ActionGroup& group : lower_groups(plan, changes, observed, facts)) {
        append(actions, std::move(group.actions));
    }
    return actions;
}

void forget_readiness(std::vector<ActionGroup>& groups) {
    std::set<std::string_view> awaited;
    for (const ActionGroup& group : groups) { awaited.insert(group.after.begin(), group.after.end()); }
    for (ActionGroup& group : groups) {
        if (awaited.contains(group.name)) { continue; }
        const auto own = [&group](const Action& action) {
            const auto* await = std::get_if<AwaitReady>(&action);
            return await != nullptr && await->vm == group.vm;
        };
        std::erase_if(group.actions, own);
    }
}

std::vector<Action> lower_start(const std::string& project, const VmPlan& vm, const Observed& observed,
                                const HostFacts& facts) {
    std::vector<Action> actions = preparing(vm, facts);
    append_start(actions, project, vm, observed.find(vm.name), neighbours_of(observed), facts);
    return actions;
}

std::vector<Action> lower_restart(const std::string& project, const VmPlan& vm, std::int64_t timeout_ms,
                                  const Observed& observed, const HostFacts& facts) {
    std::vector<Action> actions = preparing(vm, facts);
    const ObservedVm* const seen = observed.find(vm.name);
    if (seen != nullptr && seen->running) {
        actions.emplace_back(StopMachine{.vm = vm.name, .runtime_dir = vm.runtime_dir, .timeout_ms = timeout_ms});
    }
    append_start(actions, project, vm, seen, neighbours_of(observed), facts);
    return actions;
}

std::vector<Action> lower_restore(const std::string& project, const VmPlan& vm, const Snapshot& snapshot,
                                  const Observed& observed, const HostFacts& facts) {
    Prepared prepared = prepare(vm, facts);
    std::vector<Action> actions = preparing(vm, facts);
    make_place(actions, vm, prepared, facts);
    for (const VolumePlan& volume : vm.volumes) {
        make_directories(actions, facts.state_dir, parent_of(volume.image));
        actions.emplace_back(CopyFile{.from = snapshot.volume_path(volume.name), .to = restored_path(volume.image)});
    }
    if (prepared.initramfs) { actions.emplace_back(std::move(*prepared.initramfs)); }
    const ObservedVm* const seen = observed.find(vm.name);
    if (seen != nullptr && seen->running) {
        actions.emplace_back(StopMachine{.vm = vm.name, .runtime_dir = vm.runtime_dir, .timeout_ms = 0});
    }
    for (const VolumePlan& volume : vm.volumes) {
        actions.emplace_back(SwapFiles{.path = volume.image, .other = restored_path(volume.image)});
    }
    actions.emplace_back(write_record(vm));
    append(actions, lower_networks(project, vm, neighbours_of(observed), facts));
    Launch launch = launch_of(project, vm, prepared.lowered, facts);
    launch.restored = true;
    launch.was_ready = snapshot.ready;
    Child& vmm = launch.children.back();
    vmm.first_argv = backend(vm.hypervisor).load_argv(vmm.argv, snapshot.state_dir());
    actions.emplace_back(
        StartMachine{.launch = std::move(launch), .control = prepared.lowered.control, .load = snapshot.state_dir()});
    actions.emplace_back(AwaitReady{.vm = vm.name, .runtime_dir = vm.runtime_dir, .timeout_ms = vm.startup_timeout_ms});
    for (const VolumePlan& volume : vm.volumes) { actions.emplace_back(DeleteVolume{restored_path(volume.image)}); }
    return actions;
}

std::vector<Action> lower_stop(const VmPlan& vm) {
    return {StopMachine{.vm = vm.name, .runtime_dir = vm.runtime_dir, .timeout_ms = vm.shutdown_timeout_ms}};
}

std::vector<Action> lower_destroy(const ObservedVm& observed, const MachinePlace& place, bool with_volumes) {
    std::vector<Action> actions;
    actions.emplace_back(stop_of(observed, place.runtime_dir));
    append_release(actions, &observed);
    actions.emplace_back(RemoveTree{place.runtime_dir});
    actions.emplace_back(RemoveDirectory{parent_of(place.runtime_dir)});
    for (const char* name : {"console.log", "console.log.times", "console.log.1", "console.log.1.times",
                             "cloud-init.iso", "vmm.log", "vmm.log.1", "events.log", "events.log.1", "end.json"}) {
        actions.emplace_back(RemoveFile{place.state_dir + '/' + name});
    }
    const auto is_image = [](const SharePlan& share) { return share.proto == "image"; };
    if (observed.plan && std::ranges::any_of(observed.plan->shares, is_image)) {
        actions.emplace_back(RemoveTree{share_images_dir(place.state_dir)});
    }
    if (with_volumes) { actions.emplace_back(RemoveTree{snapshots_dir(place.state_dir)}); }
    if (with_volumes && observed.plan) {
        for (const VolumePlan& volume : observed.plan->volumes) {
            if (volume.protect || !volume.auto_create) { continue; }
            actions.emplace_back(DeleteVolume{volume.image});
            if (volume.image.starts_with(place.state_dir + '/')) {
                actions.emplace_back(RemoveDirectory{parent_of(volume.image)});
            }
        }
    }
    // The record goes last: as long as it is there, what a failure left can be destroyed.
    actions.emplace_back(RemoveFile{record_path(place.state_dir)});
    actions.emplace_back(RemoveDirectory{place.state_dir});
    return actions;
}

std::string initramfs_path(const VmPlan& vm, const HostFacts& facts) {
    const Prepared prepared = prepare(vm, facts);
    return prepared.initramfs ? prepared.initramfs->output : std::string();
}

std::vector<Child> commands(const VmPlan& vm, const HostFacts& facts) {
    return prepare(vm, facts).lowered.children;
}

} // namespace microvmc
