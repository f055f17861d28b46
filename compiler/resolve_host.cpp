#include "compiler/diagnostic_codes.h"
#include "compiler/draft.h"
#include "compiler/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

// What machines take of the host beside files and ports: its huge pages and its devices.

namespace microvmc::resolving {

namespace {

constexpr std::uint64_t kib_per_mib = 1024;

/// "2MiB" -> 2; 0 when it is no size.
std::uint64_t page_mib(const std::string& size) {
    std::string problem;
    return static_cast<std::uint64_t>(parse_size(size, problem).value_or(0));
}

std::string page_size(const HostFacts& facts, const VmPlan& vm) {
    return vm.hugepages == "true" ? facts.default_huge_page : vm.hugepages;
}

std::uint64_t most_memory(const VmPlan& vm) {
    return std::max(vm.mem_mib, vm.mem_max_mib);
}

/// Huge pages that a machine takes beyond those that it has while it runs; 0 and a diagnostic when it can't have any.
std::uint64_t huge_pages_of(const Inputs& in, const Draft& draft) {
    const VmPlan& vm = draft.plan;
    const Span& span = draft.config->hugepages.span;
    const std::string size = page_size(in.facts, vm);
    const std::uint64_t mib = page_mib(size);
    if (mib == 0) {
        in.diagnostics.error(codes::no_huge_pages, span, "this host's kernel has no huge pages").help =
            "leave `hugepages` out";
        return 0;
    }
    if (vm.mem_mib % mib != 0 || most_memory(vm) % mib != 0) {
        in.diagnostics
            .error(codes::memory_order, span,
                   fmt::format("`{}` has {}, which huge pages of {} don't divide", vm.name,
                               format_size(vm.mem_mib % mib != 0 ? vm.mem_mib : most_memory(vm)), size))
            .help = fmt::format("give it a multiple of {}", size);
        return 0;
    }
    const std::uint64_t wanted = most_memory(vm) / mib;
    const VmPlan* running = running_plan(draft.observed);
    if (running == nullptr || running->hugepages.empty() || page_size(in.facts, *running) != size) { return wanted; }
    const std::uint64_t has = most_memory(*running) / mib;
    return wanted - std::min(wanted, has);
}

void huge_pages(const Inputs& in, const std::vector<Draft>& drafts) {
    std::map<std::string, std::uint64_t> taken; // by size
    for (const Draft& draft : drafts) {
        if (draft.plan.hugepages.empty() || !draft.plan.enabled || draft.traits == nullptr) { continue; }
        const std::uint64_t pages = huge_pages_of(in, draft);
        if (pages == 0) { continue; }
        const std::string size = page_size(in.facts, draft.plan);
        const auto known = in.facts.huge_pages.find(size);
        const HugePageFacts host = known == in.facts.huge_pages.end() ? HugePageFacts{} : known->second;
        const std::uint64_t before = taken[size];
        taken[size] += pages;
        if (taken[size] <= host.free) { continue; }
        const std::string others = before == 0 ? "" : fmt::format(" beside {} for other machines", before);
        in.diagnostics
            .error(codes::no_huge_pages, draft.config->hugepages.span,
                   fmt::format("`{}` needs {} huge pages of {}{}, and {} of the host's {} are free", draft.plan.name,
                               pages, size, others, host.free, host.total))
            .help = known == in.facts.huge_pages.end()
                        ? fmt::format("the host's kernel has none of {}; take another size", size)
                        : fmt::format("as root: echo {} > /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages",
                                      host.total + taken[size] - host.free, page_mib(size) * kib_per_mib);
    }
}

bool is_hex(std::string_view text, std::size_t size) {
    return text.size() == size && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// "0000:03:00.0", as lspci -D has it.
bool is_pci_address(std::string_view path) {
    return path.size() == 12 && path[4] == ':' && path[7] == ':' && path[10] == '.' && is_hex(path.substr(0, 4), 4) &&
           is_hex(path.substr(5, 2), 2) && is_hex(path.substr(8, 2), 2) && path[11] >= '0' && path[11] <= '7';
}

/// "0bda:2838": vendor and product, as lsusb has them.
bool is_usb_id(std::string_view path) {
    return path.size() == 9 && path[4] == ':' && is_hex(path.substr(0, 4), 4) && is_hex(path.substr(5), 4);
}

void host_device(const Inputs& in, const DeviceConfig& said, const HostDevicePlan& device) {
    const auto refuse = [&](const Opt<std::string>& key, const char* code, std::string message, std::string help) {
        in.diagnostics.error(code, key ? key->span : said.name.span, std::move(message)).help = std::move(help);
    };
    if (!said.bus || !said.path) {
        refuse(said.bus ? said.bus : said.path, codes::missing_key, "a device has a `bus` and a `path`",
               R"({ bus = "pci", path = "0000:03:00.0" }, or { bus = "usb", path = "0bda:2838" })");
        return;
    }
    const bool pci = device.bus == "pci";
    if (pci ? !is_pci_address(device.path) : !is_usb_id(device.path)) {
        refuse(said.path, codes::bad_text,
               fmt::format("`{}` is no {}", printable(device.path), pci ? "PCI address" : "USB vendor and product"),
               pci ? "lspci -D shows them: 0000:03:00.0" : "lsusb shows them: 0bda:2838");
        return;
    }
    const HostDeviceFacts* known = device_facts(in.facts, device);
    if (known == nullptr) { return; } // facts that were gathered for another file
    const HostDeviceFacts& facts = *known;
    if (!facts.present) {
        refuse(said.path, codes::host_lacks,
               fmt::format("this host has no {} device {}", pci ? "PCI" : "USB", device.path),
               pci ? "lspci -D lists them" : "lsusb lists them");
    } else if (pci && facts.iommu_group.empty()) {
        refuse(
            said.path, codes::host_lacks,
            fmt::format("{} can't be handed to a guest: no IOMMU is at work on this host", device.path),
            "switch it on in the firmware's setup (VT-d, AMD-Vi) and, on Intel, with intel_iommu=on among the host's "
            "kernel parameters");
    } else if (pci && facts.driver != "vfio-pci") {
        refuse(said.path, codes::host_lacks,
               facts.driver.empty() ? fmt::format("no driver of the host's has {}; vfio-pci must", device.path)
                                    : fmt::format("{} belongs to the host's driver {}", device.path, facts.driver),
               fmt::format("driverctl set-override {} vfio-pci frees it for guests", device.path));
    } else if (!facts.accessible) {
        refuse(said.path, codes::host_lacks, fmt::format("you may not open {}", device.path),
               pci ? fmt::format("give your user /dev/vfio/{}, or run microvmc as root", facts.iommu_group)
                   : "give your user its node in /dev/bus/usb (a udev rule does), or run microvmc as root");
    }
}

/// What of the host's cgroup v2 a limit needs; linux: Documentation/admin-guide/cgroup-v2.rst.
void limits(const Inputs& in, const Draft& draft) {
    if (!draft.config->limits) { return; }
    const LimitsConfig& said = *draft.config->limits;
    const auto needs = [&in](std::string_view controller, const Span& span) {
        const auto& has = in.facts.cgroup_controllers;
        if (std::ranges::find(has, controller) != has.end()) { return; }
        in.diagnostics
            .error(codes::host_lacks, span,
                   fmt::format("cgroup v2 has no `{}` controller here that you could set limits by", controller))
            .help =
            "boot the host with systemd.unified_cgroup_hierarchy=1 when it has cgroup v1; an ordinary user needs "
            "a cgroup of its own (systemd-run --user --scope -p Delegate=yes)";
    };
    if (said.cpu) { needs("cpu", said.cpu->span); }
    if (said.mem) { needs("memory", said.mem->span); }
    if (said.pids) { needs("pids", said.pids->span); }
    if (said.io_read) { needs("io", said.io_read->span); }
    if (said.io_write) { needs("io", said.io_write->span); }
    const std::uint64_t most = most_memory(draft.plan);
    if (said.mem && draft.plan.limits.mem_mib <= most) {
        in.diagnostics
            .error(codes::memory_order, said.mem->span,
                   fmt::format("`limits.mem` leaves the hypervisor nothing: {}, and the guest has {}",
                               format_size(draft.plan.limits.mem_mib), format_size(most)))
            .help = "give it some 100 MiB more than the guest";
    }
}

/// Who runs the hypervisor: only root becomes another.
void vmm_user(const Inputs& in, const Draft& draft) {
    if (!draft.config->vmm_user) { return; }
    const auto& [name, span] = *draft.config->vmm_user;
    const auto known = in.facts.users.find(name);
    if (known == in.facts.users.end()) { return; } // facts that were gathered for another file
    if (known->second.groups.empty()) {
        in.diagnostics.error(codes::host_lacks, span, fmt::format("this host has no user `{}`", printable(name))).help =
            "adduser --system makes one; any that exists will do";
    } else if (in.facts.uid != 0 && in.facts.uid != known->second.uid) {
        in.diagnostics
            .error(codes::needs_root, span, fmt::format("only root can run a hypervisor as `{}`", printable(name)))
            .help = "apply it as root, or leave `vmm-user` out to run it as yourself";
    }
}

} // namespace

void check_host(const Inputs& in, const std::vector<Draft>& drafts) {
    huge_pages(in, drafts);
    for (const Draft& draft : drafts) {
        if (draft.traits == nullptr) { continue; }
        limits(in, draft);
        vmm_user(in, draft);
        // Devices of the plan are those of the text, one by one.
        for (std::size_t i = 0; i < draft.plan.host_devices.size(); ++i) {
            host_device(in, draft.config->devices[i], draft.plan.host_devices[i]);
        }
    }
}

} // namespace microvmc::resolving
