#include "compiler/plan.h"

#include <algorithm>
#include <tuple>

namespace microvmc {

bool operator==(const SharePlan& a, const SharePlan& b) {
    const auto all = [](const SharePlan& share) {
        return std::tie(share.name, share.source, share.mount_point, share.tag, share.proto, share.security_model,
                        share.server, share.server_kind, share.sandbox, share.read_only, share.cache, share.posix_acl,
                        share.xattr, share.dax, share.uid_map, share.gid_map, share.on_death, share.socket,
                        share.extra_args);
    };
    return all(a) == all(b);
}

bool operator==(const VmPlan& a, const VmPlan& b) {
    const auto kernel = [](const VmPlan& vm) {
        const KernelPlan& k = vm.kernel;
        return std::tie(k.source, k.release, k.identity, k.pin, k.modules, k.config, k.initrd, k.initrd_identity,
                        k.image, k.params);
    };
    const auto machine = [](const VmPlan& vm) {
        return std::tie(vm.name, vm.enabled, vm.hypervisor, vm.program, vm.program_version, vm.machine, vm.accel,
                        vm.extra_args, vm.options, vm.arch, vm.cpu, vm.vcpu, vm.mem_mib, vm.mem_max_mib,
                        vm.mem_boot_mib, vm.hugepages, vm.balloon, vm.firmware, vm.root, vm.cloud_init, vm.init,
                        vm.hostname, vm.machine_id, vm.command, vm.env, vm.workdir);
    };
    const auto rest = [](const VmPlan& vm) {
        return std::tie(vm.volumes, vm.shares, vm.interfaces, vm.host_devices, vm.vsock_cid, vm.console, vm.graphics,
                        vm.credentials, vm.ready, vm.depends_on, vm.restart, vm.autostart, vm.startup_timeout_ms,
                        vm.shutdown_timeout_ms, vm.limits, vm.vmm_user, vm.pre_start, vm.post_stop, vm.state_dir,
                        vm.runtime_dir);
    };
    return kernel(a) == kernel(b) && machine(a) == machine(b) && rest(a) == rest(b);
}

std::vector<Origins::Entry>::const_iterator Origins::place(std::string_view key) const {
    // Most come in order.
    if (entries_.empty() || entries_.back().key < key) { return entries_.end(); }
    return std::ranges::lower_bound(entries_, key, {}, &Entry::key);
}

void Origins::add(std::string key, std::string_view file, std::uint32_t line, std::uint32_t column) {
    constexpr std::size_t usual = 16;
    const auto at = place(key);
    if (at != entries_.end() && at->key == key) { return; }
    if (files_.empty() || files_.back() != file) { files_.emplace_back(file); }
    const auto index = at - entries_.begin();
    if (entries_.empty()) { entries_.reserve(usual); }
    entries_.insert(entries_.begin() + index,
                    {std::move(key), static_cast<std::uint32_t>(files_.size() - 1), line, column});
}

bool operator==(const Origins& a, const Origins& b) {
    return std::ranges::equal(a.entries_, b.entries_, [&](const Origins::Entry& one, const Origins::Entry& other) {
        return one.key == other.key && one.line == other.line && one.column == other.column &&
               a.file(one) == b.file(other);
    });
}

Origin Origins::find(std::string_view key) const {
    const auto at = place(key);
    if (at == entries_.end() || at->key != key) { return {}; }
    return {files_[at->file], at->line, at->column};
}

bool Origins::contains(std::string_view key) const {
    const auto at = place(key);
    return at != entries_.end() && at->key == key;
}

std::string size_key(const VolumePlan& volume) {
    return fmt::format("volumes.{}.size", volume.name);
}

std::vector<Device> VmPlan::devices() const {
    std::vector<Device> all;
    all.reserve(volumes.size() + shares.size() + interfaces.size() + host_devices.size());
    all.insert(all.end(), volumes.begin(), volumes.end());
    all.insert(all.end(), shares.begin(), shares.end());
    all.insert(all.end(), interfaces.begin(), interfaces.end());
    all.insert(all.end(), host_devices.begin(), host_devices.end());
    return all;
}

} // namespace microvmc
