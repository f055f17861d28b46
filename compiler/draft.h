#pragma once

#include "compiler/config.h"
#include "compiler/diagnostic.h"
#include "compiler/facts.h"
#include "compiler/observed.h"
#include "compiler/plan.h"
#include "compiler/resolve.h"
#include "compiler/traits.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

// Resolving works on drafts: each machine's text beside the plan that is being made of it. One step a file.

namespace microvmc {

struct Draft {
    const VmConfig* config;
    const ObservedVm* observed; ///< null: not known yet
    VmPlan& plan;
    bool has_kernel = false;        ///< or firmware, which finds one by itself
    const Traits* traits = nullptr; ///< of the hypervisor that was chosen
    MachineChoice choice{};         ///< and what it makes of the machine
};

/// What all steps read.
struct Inputs {
    const Config& config;
    const Sources& sources;
    std::span<const Traits> traits;
    const HostFacts& facts;
    const Observed& observed;
    const ResolveOptions& options;
    std::string project;
    Diagnostics& diagnostics;
    std::vector<KernelPlan> host_kernels; ///< facts.kernels as a plan has them, made once for all machines
};

namespace resolving {

/// Notes where a key of the plan was written; a default has no place.
void origin(const Inputs& in, VmPlan& plan, std::string key, const Span& span);
/// Where a key of the plan was written; the machine's name, when that is nowhere.
Span written_at(const Inputs& in, const Draft& draft, const std::string& key);
/// What is known about a path; null: nothing.
const PathFacts* path_facts(const HostFacts& facts, const std::string& path);
/// What is known of a device of the host that is handed over; null: nothing.
const HostDeviceFacts* device_facts(const HostFacts& facts, const HostDevicePlan& device);

/// One volume, added to the plan.
void volume(const Inputs& in, Draft& draft, const VolumeConfig& config);
/// Volumes, shares, interfaces and forwards; host ports are left open where the text leaves them.
void devices(const Inputs& in, Draft& draft);
/// How a share gets to the guest under a hypervisor, or why it can't.
struct ShareWay {
    std::string proto;
    std::string reason; ///< why that protocol, when it was left open
    std::string server; ///< as SharePlan has them
    std::string server_kind;
    std::string sandbox;
    std::string problem; ///< why it can't be shared; empty: it can
    std::string help;
};
/// `index`: of the share, in the plan and in the text. What the hypervisor itself can't do is looked at only where
/// there is a choice.
ShareWay share_way(const Inputs& in, const Draft& draft, const Traits& traits, std::size_t index);
/// Has the plan of a share go that way.
void take_way(const ShareWay& way, SharePlan& share);
/// The same as `share_way` says, and what follows of it.
void finish_share(const Inputs& in, Draft& draft, std::size_t index);

/// What the hypervisor gives to the devices: protocol of shares, the user network's addresses.
void finish_devices(const Inputs& in, Draft& draft);
/// The networks of the project; what is left open in them.
void networks(const Inputs& in, Plan& plan);
/// The vsock CIDs, also those that are left open.
void cids(const Inputs& in, std::vector<Draft>& drafts);
/// What machines have on the host beside ports: taps' names, addresses in their networks.
void host_names(const Inputs& in, const Plan& plan, std::vector<Draft>& drafts);

/// Addresses that are left to networks of the project.
void addresses(const Inputs& in, const Plan& plan, std::vector<Draft>& drafts);

/// Gives each open host port a number: the one that it had, else by its names.
void host_ports(const Inputs& in, std::vector<Draft>& drafts);

/// What the machine's own text says, without the host's tools: all but its kernel and its hypervisor.
void basics(const Inputs& in, Draft& draft);

/// Hypervisor, program and accelerator; false: none, and it was reported. The kernel is known by then.
bool hypervisor(const Inputs& in, Draft& draft);
/// Each hypervisor there is, as one for this machine.
std::vector<HypervisorChoice> hypervisor_choices(const Inputs& in, Draft& draft);
/// A kernel as a plan has it, but for what the hypervisor decides.
KernelPlan planned_kernel(const HostFacts& facts, const KernelFacts& kernel);
std::vector<KernelPlan> planned_kernels(const HostFacts& facts);
/// The kernel's file and pin; false: none, and it was reported.
bool kernel(const Inputs& in, Draft& draft);

/// What the text alone tells of keys and machines together: dependencies, networks, amounts of memory.
void check_text(const Inputs& in);
/// What machines take of the host: huge pages, devices.
void check_host(const Inputs& in, const std::vector<Draft>& drafts);

/// Images: two that write one, one that lies over what another writes, room on the host, those in use elsewhere.
void images(const Inputs& in, const std::vector<Draft>& drafts);
/// What one machine's text can't tell: clashes between machines and within one.
void check(const Inputs& in, const std::vector<Draft>& drafts);

} // namespace resolving

} // namespace microvmc
