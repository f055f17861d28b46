#include "testkit/references.h"

#include "compiler/text.h"
#include "runtime/kernel_params.h"
#include "testkit/pattern.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc::testkit {

namespace {

// What the values of a plan are called, each kind of thing by itself.
template <typename T> struct Value {
    std::string_view name;
    std::optional<std::string> (*get)(const T&);
    std::string_view doc;
};

std::optional<std::string> text(const std::string& value) {
    return value.empty() ? std::nullopt : std::optional(value);
}
template <typename T> std::optional<std::string> number(T value) {
    return value == 0 ? std::nullopt : std::optional(fmt::format("{}", value));
}
std::string without_prefix(const std::string& address) {
    return address.substr(0, address.find('/'));
}

constexpr Value<VmPlan> vm_values[] = {
    {"hypervisor", [](const VmPlan& vm) { return text(vm.hypervisor); }, "the hypervisor that runs it"},
    {"program", [](const VmPlan& vm) { return text(vm.program); }, "the hypervisor's program"},
    {"program-version", [](const VmPlan& vm) { return text(vm.program_version); }, "its version"},
    {"machine", [](const VmPlan& vm) { return text(vm.machine); }, "the hypervisor's kind of machine"},
    {"accel", [](const VmPlan& vm) { return text(vm.accel); }, "`kvm` or `tcg`"},
    {"arch", [](const VmPlan& vm) { return text(vm.arch); }, "the architecture"},
    {"cpu", [](const VmPlan& vm) { return text(vm.cpu); }, "the CPU model, when one was chosen"},
    {"vcpu", [](const VmPlan& vm) { return number(vm.vcpu); }, "the number of virtual CPUs"},
    {"mem", [](const VmPlan& vm) { return number(vm.mem_mib); }, "memory in MiB"},
    {"mem-max", [](const VmPlan& vm) { return number(vm.mem_max_mib); }, "what it may become, in MiB"},
    {"kernel", [](const VmPlan& vm) { return text(vm.kernel.source); }, "the kernel's file"},
    {"kernel-release", [](const VmPlan& vm) { return text(vm.kernel.release); }, "the kernel's release"},
    {"kernel-params", [](const VmPlan& vm) { return kernel_command_line(vm.kernel.params); },
     "the kernel's command line"},
    {"hostname", [](const VmPlan& vm) { return text(vm.hostname); }, "the guest's host name"},
    {"machine-id", [](const VmPlan& vm) { return text(vm.machine_id); }, "the guest's machine-id"},
    {"vsock-cid", [](const VmPlan& vm) { return number(vm.vsock_cid); }, "the context id of its vsock"},
    {"state-dir", [](const VmPlan& vm) { return text(vm.state_dir); }, "its state directory on the host"},
    {"runtime-dir", [](const VmPlan& vm) { return text(vm.runtime_dir); }, "its directory of sockets on the host"},
};
constexpr Value<VolumePlan> volume_values[] = {
    {"image", [](const VolumePlan& volume) { return text(volume.image); }, "the image's file"},
    {"size", [](const VolumePlan& volume) { return number(volume.size_mib); }, "its size in MiB"},
    {"fs-type", [](const VolumePlan& volume) { return text(volume.fs_type); }, "the file system"},
    {"format", [](const VolumePlan& volume) { return text(volume.format); }, "the image's format"},
    {"label", [](const VolumePlan& volume) { return text(volume.label); }, "the file system's label"},
    {"serial", [](const VolumePlan& volume) { return text(volume.serial); }, "the disk's serial number"},
    {"uuid", [](const VolumePlan& volume) { return text(volume.uuid); }, "the file system's UUID"},
    {"mount-point", [](const VolumePlan& volume) { return text(volume.mount_point); }, "where it is mounted"},
};
constexpr Value<SharePlan> share_values[] = {
    {"source", [](const SharePlan& share) { return text(share.source); }, "the host's directory"},
    {"mount-point", [](const SharePlan& share) { return text(share.mount_point); }, "where it is mounted"},
    {"tag", [](const SharePlan& share) { return text(share.tag); }, "what the guest finds it by"},
    {"proto", [](const SharePlan& share) { return text(share.proto); }, "the protocol"},
};
constexpr Value<InterfacePlan> interface_values[] = {
    {"type", [](const InterfacePlan& interface) { return text(interface.type); }, "its kind"},
    {"id", [](const InterfacePlan& interface) { return text(interface.id); }, "its name on the host"},
    {"mac", [](const InterfacePlan& interface) { return text(interface.mac); }, "its hardware address"},
    {"address",
     [](const InterfacePlan& interface) {
         return interface.addresses.empty() ? std::nullopt : text(without_prefix(interface.addresses.front()));
     },
     "its first address"},
    {"gateway", [](const InterfacePlan& interface) { return text(interface.gateway); }, "the guest's gateway"},
    {"dns",
     [](const InterfacePlan& interface) { return interface.dns.empty() ? std::nullopt : text(interface.dns.front()); },
     "the guest's first name server"},
    {"mtu", [](const InterfacePlan& interface) { return number(interface.mtu); }, "its MTU, when one was chosen"},
};
constexpr Value<ForwardPlan> forward_values[] = {
    {"proto", [](const ForwardPlan& forward) { return text(forward.proto); }, "`tcp` or `udp`"},
    {"host.address", [](const ForwardPlan& forward) { return text(forward.host_address); }, "the host's address"},
    {"host.port", [](const ForwardPlan& forward) { return number(forward.host_port); }, "the host's port"},
    {"guest.address", [](const ForwardPlan& forward) { return text(forward.guest_address); }, "the guest's address"},
    {"guest.port", [](const ForwardPlan& forward) { return number(forward.guest_port); }, "the guest's port"},
};

constexpr std::string_view prefix = "vm.";

struct Path {
    std::string_view vm;
    std::string_view kind;    ///< "volumes"; empty: the machine itself
    std::string_view element; ///< "data"
    std::string_view value;
};

std::string_view take(std::string_view& rest) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    return part;
}

constexpr std::string_view kinds[] = {"volumes", "shares", "interfaces", "forward-ports"};

Path parts_of(std::string_view name) {
    Path path;
    name.remove_prefix(prefix.size());
    path.vm = take(name);
    if (std::ranges::find(kinds, name.substr(0, name.find('.'))) != std::end(kinds)) {
        path.kind = take(name);
        path.element = take(name);
    }
    path.value = name;
    return path;
}

template <typename T, std::size_t N> const Value<T>* find(const Value<T> (&values)[N], std::string_view name) {
    const auto* found = std::ranges::find(values, name, &Value<T>::name);
    return found == std::end(values) ? nullptr : found;
}

template <typename T, std::size_t N>
std::optional<std::string> value_of(const std::vector<T>& elements, const Path& path, const Value<T> (&values)[N]) {
    const auto element = std::ranges::find(elements, path.element, &T::name);
    const Value<T>* value = find(values, path.value);
    return element == elements.end() || value == nullptr ? std::nullopt : value->get(*element);
}

std::string did_you_mean(std::string_view wrong, std::span<const std::string_view> known) {
    const std::string_view meant = nearest(wrong, known);
    if (!meant.empty()) { return fmt::format("did you mean `{}`?", meant); }
    return known.empty() ? std::string() : fmt::format("there is {}", list_or(known));
}

template <typename T, std::size_t N>
std::optional<ReferenceProblem> check_value(const Value<T> (&values)[N], std::string_view what, std::string_view name) {
    if (find(values, name) != nullptr) { return std::nullopt; }
    std::vector<std::string_view> known;
    for (const Value<T>& value : values) { known.push_back(value.name); }
    return ReferenceProblem{name.empty() ? fmt::format("which value of {} is meant?", what)
                                         : fmt::format("{} has no value `{}`", what, printable(name)),
                            did_you_mean(name, known)};
}

template <typename T, typename C, std::size_t N>
std::optional<ReferenceProblem> check_element(const std::vector<C>& elements, std::string_view noun, const Path& path,
                                              const Value<T> (&values)[N], std::vector<std::string_view> known = {}) {
    for (const C& element : elements) { known.push_back(element.name.value); }
    if (std::ranges::find(known, path.element) == known.end()) {
        return ReferenceProblem{fmt::format("`{}` has no {} `{}`", path.vm, noun, printable(path.element)),
                                did_you_mean(path.element, known)};
    }
    return check_value(values, fmt::format("{} `{}`", noun, path.element), path.value);
}

template <typename T, std::size_t N>
void add_names(std::vector<PlanValueName>& names, std::string_view before, const Value<T> (&values)[N]) {
    for (const Value<T>& value : values) { names.push_back({fmt::format("{}{}", before, value.name), value.doc}); }
}

} // namespace

std::vector<Reference> find_references(std::string_view text) {
    std::vector<Reference> found;
    for (std::size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at)) {
        const std::size_t close = text.find('}', at);
        const bool closed = close != std::string_view::npos;
        const std::size_t end = closed ? close + 1 : text.size();
        found.push_back({at, end, text.substr(at + 2, (closed ? close : end) - at - 2), closed});
        at = end;
    }
    return found;
}

std::string substitute(std::string_view text, const Lookup& lookup) {
    std::string out;
    std::size_t done = 0;
    for (const Reference& reference : find_references(text)) {
        const std::optional<std::string> value = reference.closed ? lookup(reference.name) : std::nullopt;
        if (!value) { continue; }
        out += text.substr(done, reference.begin - done);
        out += *value;
        done = reference.end;
    }
    out += text.substr(done);
    return out;
}

std::string substitute_pattern(std::string_view text, const Lookup& lookup) {
    const std::vector<Reference> references = find_references(text);
    const bool alone = references.size() == 1 && references.front().begin == 0 && references.front().end == text.size();
    if (alone) { return substitute(text, lookup); }
    return substitute(text, [&](std::string_view name) {
        std::optional<std::string> value = lookup(name);
        return value ? std::optional(pattern_quoted(*value)) : std::nullopt;
    });
}

bool is_plan_reference(std::string_view name) {
    return name.starts_with(prefix);
}

std::optional<std::string> plan_value(const Plan& plan, std::string_view name) {
    const Path path = parts_of(name);
    const auto vm = std::ranges::find(plan.vms, path.vm, &VmPlan::name);
    if (vm == plan.vms.end()) { return std::nullopt; }
    if (path.kind == "volumes") { return value_of(vm->volumes, path, volume_values); }
    if (path.kind == "shares") { return value_of(vm->shares, path, share_values); }
    if (path.kind == "interfaces") { return value_of(vm->interfaces, path, interface_values); }
    if (path.kind == "forward-ports") {
        for (const InterfacePlan& interface : vm->interfaces) {
            auto value = value_of(interface.forwards, path, forward_values);
            if (value) { return value; }
        }
        return std::nullopt;
    }
    const Value<VmPlan>* value = find(vm_values, path.value);
    return value == nullptr ? std::nullopt : value->get(*vm);
}

std::string variable_of(std::string_view name) {
    std::string variable(name);
    std::ranges::replace_if(
        variable, [](char c) { return c == '.' || c == '-'; }, '_');
    return variable;
}

std::optional<ReferenceProblem> check_plan_reference(const Config& config, std::string_view name) {
    const Path path = parts_of(name);
    const auto vm = std::ranges::find_if(config.vms, [&](const VmConfig& each) { return each.name.value == path.vm; });
    if (vm == config.vms.end()) {
        std::vector<std::string_view> known;
        for (const VmConfig& each : config.vms) { known.push_back(each.name.value); }
        return ReferenceProblem{fmt::format("there is no VM `{}`", printable(path.vm)), did_you_mean(path.vm, known)};
    }
    if (path.kind == "volumes") { return check_element(vm->volumes, "volume", path, volume_values); }
    if (path.kind == "shares") { return check_element(vm->shares, "share", path, share_values); }
    if (path.kind == "interfaces") {
        // With forward-ports and no interfaces, one of that name is implied.
        const bool implied = vm->interfaces.empty() && !vm->forward_ports.empty();
        return check_element(vm->interfaces, "interface", path, interface_values,
                             implied ? std::vector<std::string_view>{"user"} : std::vector<std::string_view>{});
    }
    if (path.kind == "forward-ports") { return check_element(vm->forward_ports, "forward", path, forward_values); }
    return check_value(vm_values, fmt::format("VM `{}`", path.vm), path.value);
}

std::vector<PlanValueName> plan_value_names() {
    std::vector<PlanValueName> names;
    add_names(names, "", vm_values);
    add_names(names, "volumes.NAME.", volume_values);
    add_names(names, "shares.NAME.", share_values);
    add_names(names, "interfaces.NAME.", interface_values);
    add_names(names, "forward-ports.NAME.", forward_values);
    return names;
}

} // namespace microvmc::testkit
