#include "runtime/lower.h"

#include "compiler/file_system.h"
#include "runtime/backend.h"
#include "runtime/error.h"
#include "runtime/guest_spec.h"
#include "runtime/initramfs.h"
#include "runtime/lower_network.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
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
    BuildInitramfs initramfs;
    Lowered lowered;
};

Prepared prepare(const VmPlan& vm, const HostFacts& facts) {
    const Backend& its = backend(vm.hypervisor);
    // What goes in the initramfs doesn't depend on where it lies, which is named by what goes in it.
    const Lowered unnamed = its.lower(vm, {});
    const bool has_userland = vm.root.kind == RootPlan::Kind::initramfs;
    const ToolFacts busybox = has_userland ? tool(facts, "busybox") : ToolFacts{};
    Prepared prepared;
    prepared.initramfs.busybox = busybox.path;
    prepared.initramfs.init = facts.guest_init.path;
    prepared.initramfs.modules_dir = vm.kernel.pin + "/modules";
    prepared.initramfs.modules = unnamed.modules;
    prepared.initramfs.spec = guest_spec(vm, unnamed);
    prepared.initramfs.key =
        initramfs_key(busybox, facts.guest_init, vm.kernel, unnamed.modules, prepared.initramfs.spec);
    prepared.initramfs.output = fmt::format("{}/cache/initramfs/{}.cpio", facts.state_dir, prepared.initramfs.key);
    prepared.lowered = its.lower(vm, prepared.initramfs.output);
    return prepared;
}

Launch launch_of(const std::string& project, const VmPlan& vm, const Lowered& lowered) {
    Launch launch;
    launch.project = project;
    launch.vm = vm.name;
    launch.children = lowered.children;
    launch.agent = lowered.agent;
    launch.ready_kind = ready_name(vm.ready.kind);
    launch.ready_text = vm.ready.text;
    launch.ready_status = vm.ready.status;
    launch.startup_timeout_ms = vm.startup_timeout_ms;
    launch.shutdown_timeout_ms = vm.shutdown_timeout_ms;
    launch.taps = taps_of(vm);
    launch.runtime_dir = vm.runtime_dir;
    launch.console_log = vm.state_dir + "/console.log";
    launch.vmm_log = vm.state_dir + "/vmm.log";
    launch.end_file = vm.state_dir + "/end.json";
    for (const VolumePlan& volume : vm.volumes) {
        launch.images.push_back({.path = volume.image, .read_only = volume.read_only});
        // Of a copy, what it was made of is no longer needed.
        if (!volume.backing.empty() && volume.format == "qcow2") {
            launch.images.push_back({.path = volume.backing, .read_only = true});
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

void append_start(std::vector<Action>& actions, const std::string& project, const VmPlan& vm,
                  const ObservedVm* observed, const Neighbours& neighbours, const HostFacts& facts) {
    Prepared prepared = prepare(vm, facts);
    make_directories(actions, facts.state_dir, vm.state_dir);
    make_directories(actions, facts.runtime_dir, vm.runtime_dir);
    make_directories(actions, facts.state_dir, parent_of(vm.kernel.pin));
    make_directories(actions, facts.state_dir, parent_of(prepared.initramfs.output));
    actions.emplace_back(PinKernel{vm.kernel});
    for (const VolumePlan& volume : vm.volumes) { append_volume(actions, volume, observed, facts); }
    actions.emplace_back(std::move(prepared.initramfs));
    actions.emplace_back(write_record(vm));
    append(actions, lower_networks(project, vm, neighbours, facts));
    actions.emplace_back(
        StartMachine{.launch = launch_of(project, vm, prepared.lowered), .control = prepared.lowered.control});
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
            .image = volume.image,
            .size_mib = volume.size_mib,
        });
    }
}

StopMachine stop_of(const ObservedVm& observed, const std::string& runtime_dir) {
    const std::int64_t timeout = observed.plan ? observed.plan->shutdown_timeout_ms : default_stop_timeout_ms;
    return {.vm = observed.name, .runtime_dir = runtime_dir, .timeout_ms = timeout};
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

// What it was in, as far as that is known, is left to the others.
void append_release(std::vector<Action>& actions, const ObservedVm* observed) {
    if (observed != nullptr && observed->plan) { append(actions, release_networks(*observed->plan)); }
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
        append_release(actions, observed);
        append_start(actions, plan.project, vm, observed, neighbours, facts);
        break;
    }
    case ChangeKind::in_place:
    case ChangeKind::update: {
        const VmPlan& vm = planned(plan, change.vm);
        make_directories(actions, facts.state_dir, vm.state_dir);
        if (change.kind == ChangeKind::in_place) { append_growth(actions, vm, observed); }
        actions.emplace_back(write_record(vm));
        break;
    }
    case ChangeKind::none:
    case ChangeKind::stop:
    case ChangeKind::destroy: break;
    }
    return actions;
}

} // namespace

std::vector<Action> lower(const Plan& plan, const Changes& changes, const Observed& observed, const HostFacts& facts) {
    std::vector<Action> actions;
    for (const VmChange& change : changes.vms) { append(actions, freeing(change, plan, observed.find(change.vm))); }
    Neighbours neighbours{plan.networks, {}};
    for (const VmPlan& vm : plan.vms) { neighbours.vms.push_back(&vm); }
    if (!changes.empty() && plan.networks != observed.networks) {
        make_directories(actions, facts.state_dir, plan.project_state_dir);
        actions.emplace_back(write_networks(plan));
    }
    for (const VmChange& change : changes.vms) {
        append(actions, taking(change, plan, observed.find(change.vm), neighbours, facts));
    }
    return actions;
}

std::vector<Action> lower_start(const std::string& project, const VmPlan& vm, const Observed& observed,
                                const HostFacts& facts) {
    Neighbours neighbours{observed.networks, {}};
    for (const ObservedVm& each : observed.vms) {
        if (each.plan) { neighbours.vms.push_back(&*each.plan); }
    }
    std::vector<Action> actions;
    append_start(actions, project, vm, observed.find(vm.name), neighbours, facts);
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
    for (const char* name : {"console.log", "console.log.1", "vmm.log", "vmm.log.1", "end.json"}) {
        actions.emplace_back(RemoveFile{place.state_dir + '/' + name});
    }
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
    return prepare(vm, facts).initramfs.output;
}

std::vector<Child> commands(const VmPlan& vm, const HostFacts& facts) {
    return prepare(vm, facts).lowered.children;
}

} // namespace microvmc
