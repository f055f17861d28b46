#include "compiler/digest.h"
#include "compiler/named_paths.h"
#include "compiler/resolve.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace microvmc {

std::vector<std::string> paths_to_probe(const Config& config, std::string_view state_dir, std::string_view project) {
    std::vector<std::string> paths;
    std::unordered_set<std::string_view> named; // of the text
    const auto add = [&](const std::string& path) {
        if (named.insert(path).second) { paths.push_back(path); }
    };
    for (const VmConfig& vm : config.vms) {
        for (const VolumeConfig& volume : vm.volumes) {
            if (volume.image) {
                add(volume.image->value);
            } else {
                paths.push_back(fmt::format("{}/projects/{}/{}/volumes/{}.img", state_dir, project, vm.name.value,
                                            volume.name.value));
            }
        }
        for (const ShareConfig& share : vm.shares) {
            if (share.source) { add(share.source->value); }
        }
        for (const HypervisorConfig& hypervisor : vm.hypervisors) {
            if (hypervisor.program) { add(hypervisor.program->value); }
        }
        if (vm.kernel.value.starts_with('/')) { add(vm.kernel.value); }
        for (const NamedPath& each : named_paths(vm)) { add(each.path->value); }
    }
    return paths;
}

std::vector<std::string> kernels_to_probe(const Config& config) {
    std::set<std::string> paths;
    for (const VmConfig& vm : config.vms) {
        if (vm.kernel.value.starts_with('/')) { paths.insert(vm.kernel.value); }
    }
    return {paths.begin(), paths.end()};
}

std::vector<std::string> kernel_configs_to_probe(const Config& config) {
    std::set<std::string> paths;
    for (const VmConfig& vm : config.vms) {
        if (vm.kernel_config) { paths.insert(vm.kernel_config->value); }
    }
    return {paths.begin(), paths.end()};
}

std::vector<std::string> oci_images_to_probe(const Config& config) {
    std::set<std::string> paths;
    for (const VmConfig& vm : config.vms) {
        if (vm.root && vm.root->oci) { paths.insert(vm.root->oci->value); }
    }
    return {paths.begin(), paths.end()};
}

std::vector<std::string> root_sources_to_probe(const Config& config) {
    std::set<std::string> paths;
    for (const VmConfig& vm : config.vms) {
        if (vm.initrd) { paths.insert(vm.initrd->value); }
        if (!vm.root) { continue; }
        for (const Opt<std::string>* source : {&vm.root->dir, &vm.root->tar, &vm.root->oci}) {
            if (*source) { paths.insert((*source)->value); }
        }
    }
    return {paths.begin(), paths.end()};
}

std::vector<std::string> users_to_probe(const Config& config) {
    std::set<std::string> names;
    for (const VmConfig& vm : config.vms) {
        if (vm.vmm_user) { names.insert(vm.vmm_user->value); }
    }
    return {names.begin(), names.end()};
}

std::vector<std::pair<std::string, std::string>> devices_to_probe(const Config& config) {
    std::set<std::pair<std::string, std::string>> devices;
    for (const VmConfig& vm : config.vms) {
        for (const DeviceConfig& device : vm.devices) {
            if (device.bus && device.path) { devices.emplace(device.bus->value, device.path->value); }
        }
    }
    return {devices.begin(), devices.end()};
}

PlanDigests digests(const Sources& sources, const HostFacts& facts, const Observed& observed) {
    PlanDigests made;
    for (const SourceFile& file : sources.files) {
        made.sources.push_back({file.path, sha256_hex(file.text), file.included});
    }

    // Sizes and paths of images change as machines run, and no plan goes by them once it is made.
    std::string text =
        fmt::format("{} {} {} {}\n", facts.arch, facts.uid, facts.tsc_khz, static_cast<int>(facts.kvm.state));
    const auto identity = [](const FileIdentity& id) {
        return fmt::format("{} {} {}", id.device, id.inode, id.mtime_ns, id.size);
    };
    for (const auto& [name, tool] : facts.tools) {
        text += fmt::format("{} {} {}\n", name, tool.path, identity(tool.identity));
    }
    text += fmt::format("{} {}\n", facts.guest_init.path, identity(facts.guest_init.identity));
    for (const auto& kernel : facts.kernels) { text += fmt::format("{} {}\n", kernel.path, identity(kernel.identity)); }
    for (const auto& [path, kernel] : facts.named_kernels) {
        text += fmt::format("{} {}\n", path, identity(kernel.identity));
    }
    std::vector<const std::pair<const std::string, PathFacts>*> paths;
    paths.reserve(facts.paths.size());
    for (const auto& each : facts.paths) { paths.push_back(&each); }
    std::ranges::sort(paths, {}, [](const auto* each) -> const std::string& { return each->first; });
    for (const auto* each : paths) {
        const auto& [path, what] = *each;
        fmt::format_to(std::back_inserter(text), "{} {} {} {}\n", path, what.kind == PathFacts::Kind::directory,
                       what.readable, what.identity);
    }
    made.facts = sha256_hex(text);

    text.clear();
    for (const ObservedVm& vm : observed.vms) {
        text += fmt::format("{} {} {}", vm.name, vm.running, vm.completed);
        if (vm.plan) { text += nlohmann::json(*vm.plan).dump(); }
        for (const auto& [name, size] : vm.volumes) { text += fmt::format(" {} {}", name, size); }
        text += '\n';
    }
    made.observed = sha256_hex(text);
    return made;
}

} // namespace microvmc
