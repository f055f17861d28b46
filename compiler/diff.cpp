#include "compiler/diff.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/plan_keys.h"
#include "compiler/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace microvmc {

namespace {

// Where a key was written: itself, else the nearest thing above it.
Origin origin_of(const VmPlan& vm, std::string_view key) {
    for (;;) {
        if (Origin origin = vm.origins.find(key); origin.line != 0) { return origin; }
        const std::size_t dot = key.rfind('.');
        if (dot == std::string_view::npos) { return {}; }
        key.remove_suffix(key.size() - dot);
    }
}

Span span_of(const Origin& origin, const Sources& sources) {
    for (std::uint32_t i = 0; i < sources.files.size(); ++i) {
        if (origin.line == 0 || sources.files[i].path != origin.file) { continue; }
        return {i, {origin.line, origin.column}, {origin.line, origin.column + 1}};
    }
    return {};
}

// How a running machine takes a key without a restart, by what it was started with; empty: it doesn't.
std::string in_place(const std::string& key, const VmPlan& running, const VmPlan& wanted) {
    const auto how = running.in_place.find(key);
    if (how == running.in_place.end()) { return {}; }
    if (key != "mem") { return how->second; }
    const bool has_room = running.mem_max_mib == wanted.mem_max_mib && wanted.mem_mib >= running.mem_boot_mib;
    return has_room ? fmt::format("{}, mem-max {}", how->second, format_size(running.mem_max_mib)) : "";
}

bool is_size_of_volume(const std::string& key) {
    return key.starts_with("volumes.") && key.ends_with(".size");
}

// Why a key can't change while the machine runs, or how it does.
std::string reason_of(const std::string& key, bool fixed, const VmPlan& vm) {
    if (!fixed) { return "microvmc's own, taken at once"; }
    if (is_size_of_volume(key)) { return "grown when the guest starts"; }
    if (key == "mem" && vm.mem_max_mib != 0) { return "it booted with more, or another mem-max"; }
    return fmt::format("{}: fixed at start", vm.hypervisor);
}

using Elements = std::unordered_map<std::string, PlanElement>;

Elements elements_of(const VmPlan& vm) {
    Elements elements;
    for (PlanElement& element : plan_elements(vm)) { elements.emplace(element.name, std::move(element)); }
    return elements;
}

// A volume that is new or gone is one change, not one for each of its keys.
class Comparison {
public:
    Comparison(const VmPlan& before, const VmPlan& after)
        : before_(before), after_(after), was_(elements_of(before)), is_(elements_of(after)) {}

    std::vector<KeyChange> changes() {
        const std::vector<PlanKey> old_keys = plan_keys(before_);
        const std::vector<PlanKey> new_keys = plan_keys(after_);
        std::unordered_map<std::string_view, const PlanKey*> left;
        for (const PlanKey& key : old_keys) { left.emplace(key.key, &key); }
        for (const PlanKey& key : new_keys) {
            const auto found = left.find(key.key);
            const std::string was = found == left.end() ? std::string() : found->second->text;
            if (found != left.end()) { left.erase(found); }
            if (!key.element.empty() && !was_.contains(key.element)) {
                whole(key.element, {}, is_.at(key.element).text, fmt::format("{}: fixed at start", after_.hypervisor));
            } else if (was != key.text) {
                add(key.key, was, key.text, key.fixed_at_start);
            }
        }
        for (const PlanKey& key : old_keys) {
            if (!left.contains(key.key)) { continue; }
            if (!key.element.empty() && !is_.contains(key.element)) {
                whole(key.element, was_.at(key.element).text, {},
                      key.element.starts_with("volumes.") ? "the image stays on disk: " + was_.at(key.element).more
                                                          : fmt::format("{}: fixed at start", after_.hypervisor));
            } else {
                add(key.key, key.text, {}, key.fixed_at_start);
            }
        }
        return std::move(changes_);
    }

private:
    void add(const std::string& key, const std::string& was, const std::string& is, bool fixed) {
        // Another kernel has another pin.
        if (key == "kernel.pin" && before_.kernel.source != after_.kernel.source) { return; }
        const std::string how = in_place(key, before_, after_);
        changes_.push_back({key, was, is, fixed && how.empty(), how.empty() ? reason_of(key, fixed, after_) : how,
                            origin_of(after_, key)});
    }
    void whole(const std::string& element, const std::string& was, const std::string& is, std::string reason) {
        if (!seen_.insert(element).second) { return; }
        changes_.push_back({element, was, is, true, std::move(reason), origin_of(after_, element)});
    }

    const VmPlan& before_;
    const VmPlan& after_;
    Elements was_;
    Elements is_;
    std::unordered_set<std::string> seen_;
    std::vector<KeyChange> changes_;
};

void refuse_shrinking(const VmPlan& vm, const ObservedVm& observed, const Sources& sources, Diagnostics& diagnostics) {
    for (const VolumePlan& volume : vm.volumes) {
        const auto existing = observed.volumes.find(volume.name);
        if (existing == observed.volumes.end() || !observed.plan) { continue; }
        const auto old = std::find_if(observed.plan->volumes.begin(), observed.plan->volumes.end(),
                                      [&volume](const VolumePlan& v) { return v.name == volume.name; });
        if (old == observed.plan->volumes.end() || old->image != volume.image) { continue; }
        const Span span = span_of(origin_of(vm, fmt::format("volumes.{}.size", volume.name)), sources);
        if (volume.size_mib != 0 && volume.size_mib < existing->second) {
            diagnostics
                .error(codes::volume_shrinks, span,
                       fmt::format("volume `{}` of `{}` has {} and can't shrink to {}", volume.name, vm.name,
                                   format_size(existing->second), format_size(volume.size_mib)))
                .help = fmt::format("give it {} or more, or make a new volume and copy what it should have",
                                    format_size(existing->second));
        }
        if (volume.fs_type != old->fs_type || volume.format != old->format) {
            diagnostics
                .error(codes::volume_changes, span,
                       fmt::format("volume `{}` of `{}` exists as {} in {} and can't become {} in {}", volume.name,
                                   vm.name, old->fs_type, old->format, volume.fs_type, volume.format))
                .help = "its data would be lost: make a new volume under another name and copy what it should have";
        }
    }
}

std::string restart_summary(const VmChange& change) {
    constexpr std::size_t shown = 3;
    std::vector<std::string_view> why;
    for (const KeyChange& key : change.keys) {
        if (key.needs_restart) { why.push_back(key.key); }
    }
    const std::size_t rest = why.size() > shown + 1 ? why.size() - shown : 0;
    why.resize(why.size() - rest);
    return fmt::format("restart for {}{}", fmt::join(why, ", "), rest == 0 ? "" : fmt::format(" and {} more", rest));
}

VmChange change_of(const VmPlan& vm, const ObservedVm* observed) {
    VmChange change;
    change.vm = vm.name;
    if (observed == nullptr || !observed->plan) {
        change.kind = vm.enabled ? ChangeKind::create : ChangeKind::update;
        change.summary = vm.enabled ? "create" : "recorded, not started: enabled = false";
        return change;
    }
    change.keys = Comparison(*observed->plan, vm).changes();
    const bool fixed =
        std::any_of(change.keys.begin(), change.keys.end(), [](const KeyChange& key) { return key.needs_restart; });
    const auto set = [&change](ChangeKind kind, std::string summary) {
        change.kind = kind;
        change.summary = std::move(summary);
    };
    if (!vm.enabled && observed->running) {
        set(ChangeKind::stop, "stop: enabled = false");
    } else if (!vm.enabled || (observed->completed && !fixed)) {
        if (!change.keys.empty()) { set(ChangeKind::update, "stays stopped; recorded"); }
    } else if (!observed->running) {
        set(ChangeKind::start, "start");
    } else if (fixed) {
        set(ChangeKind::restart, restart_summary(change));
    } else if (!change.keys.empty()) {
        set(ChangeKind::in_place, "in place");
    }
    if (!observed->running) { // nothing has to be done about them but to start it by the new ones
        for (KeyChange& key : change.keys) {
            key.needs_restart = false;
            if (!key.reason.starts_with("the image")) { key.reason.clear(); }
        }
    }
    return change;
}

VmChange destruction_of(const ObservedVm& observed, std::string_view gone) {
    VmChange change;
    change.vm = observed.name;
    change.kind = ChangeKind::destroy;
    const std::size_t count = observed.volumes.size();
    change.summary = count == 0 ? fmt::format("destroy: {}; has no volumes", gone)
                                : fmt::format("destroy: {}; its {} kept", gone,
                                              count == 1 ? "volume is" : fmt::format("{} volumes are", count));
    if (!observed.plan) { return change; }
    for (const VolumePlan& volume : observed.plan->volumes) {
        if (observed.volumes.contains(volume.name)) {
            change.keys.push_back({fmt::format("volumes.{}.image", volume.name),
                                   printable(volume.image),
                                   {},
                                   false,
                                   "the image stays on disk",
                                   {}});
        }
    }
    return change;
}

} // namespace

const ObservedVm* Observed::find(std::string_view name) const {
    const auto found = std::find_if(vms.begin(), vms.end(), [name](const ObservedVm& vm) { return vm.name == name; });
    return found == vms.end() ? nullptr : &*found;
}

bool Changes::empty() const {
    return std::all_of(vms.begin(), vms.end(), [](const VmChange& change) { return change.kind == ChangeKind::none; });
}

Changes diff(const Plan& plan, const Observed& observed, const Sources& sources, Diagnostics& diagnostics,
             std::string_view gone) {
    std::unordered_map<std::string_view, const ObservedVm*> known;
    for (const ObservedVm& vm : observed.vms) { known.emplace(vm.name, &vm); }
    Changes changes;
    changes.vms.reserve(plan.vms.size());
    for (const VmPlan& vm : plan.vms) {
        const auto found = known.find(vm.name);
        const ObservedVm* seen = found == known.end() ? nullptr : found->second;
        if (found != known.end()) { known.erase(found); }
        if (seen != nullptr) { refuse_shrinking(vm, *seen, sources, diagnostics); }
        changes.vms.push_back(change_of(vm, seen));
    }
    for (const ObservedVm& vm : observed.vms) {
        if (known.contains(vm.name)) { changes.vms.push_back(destruction_of(vm, gone)); }
    }
    diagnostics.sort();
    return changes;
}

void restart_anyway(Changes& changes, const Observed& observed, const std::vector<std::string>& names) {
    for (VmChange& change : changes.vms) {
        if (std::ranges::find(names, change.vm) == names.end()) { continue; }
        switch (change.kind) {
        case ChangeKind::none:
        case ChangeKind::in_place:
        case ChangeKind::update: {
            const ObservedVm* vm = observed.find(change.vm);
            if (vm != nullptr && vm->plan && !vm->plan->enabled) { break; }
            change.kind = vm != nullptr && vm->running ? ChangeKind::restart : ChangeKind::start;
            change.summary = vm != nullptr && vm->running ? "restart: as asked" : "start: as asked";
            break;
        }
        case ChangeKind::create:
        case ChangeKind::start:
        case ChangeKind::restart:
        case ChangeKind::stop:
        case ChangeKind::destroy: break;
        }
    }
}

void take_in_place(VmPlan& running, const VmPlan& recorded) {
    running.ready = recorded.ready;
    running.startup_timeout_ms = recorded.startup_timeout_ms;
    running.shutdown_timeout_ms = recorded.shutdown_timeout_ms;
    running.depends_on = recorded.depends_on;
    running.restart = recorded.restart;
    running.autostart = recorded.autostart;
    running.pre_start = recorded.pre_start;
    running.post_stop = recorded.post_stop;
    running.kernel.config = recorded.kernel.config;
    if (running.in_place.contains("mem")) { running.mem_mib = recorded.mem_mib; }
    for (VolumePlan& volume : running.volumes) {
        for (const VolumePlan& other : recorded.volumes) {
            if (other.name != volume.name) { continue; }
            volume.protect = other.protect;
            volume.mkfs_args = other.mkfs_args;
            if (volume.format != "qcow2") { // a copy was made once
                volume.backing = other.backing;
                volume.backing_format = other.backing_format;
            }
            if (running.in_place.contains(size_key(volume))) { volume.size_mib = other.size_mib; }
        }
    }
}

} // namespace microvmc
