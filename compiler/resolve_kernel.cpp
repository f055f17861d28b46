#include "compiler/diagnostic_codes.h"
#include "compiler/digest.h"
#include "compiler/draft.h"
#include "compiler/identity.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc::resolving {

namespace {

/// Whether `plan` was made by kernel = "host" and its pin is still there.
bool is_pinned_host_kernel(const Inputs& in, const KernelPlan& plan) {
    if (!plan.source.starts_with("/boot/vmlinuz") || plan.pin.find('~', plan.pin.rfind('/')) != std::string::npos) {
        return false; // one with modules of its own is its machine's
    }
    return std::ranges::any_of(in.facts.pinned,
                               [&](const KernelFacts& pinned) { return pinned.path.starts_with(plan.pin + "/"); });
}

/// Modules of the user's own: the kernel is pinned with them, apart from the same kernel with others.
void take_modules(KernelPlan& kernel, const std::string& directory) {
    constexpr std::size_t digits = 8;
    kernel.modules = directory;
    const std::string mark = '~' + sha256_hex(directory).substr(0, digits);
    if (!kernel.pin.ends_with(mark)) { kernel.pin += mark; }
}

/// An initramfs of the user's own: it is the machine's root.
void take_initrd(const Inputs& in, Draft& draft) {
    const Located<std::string>& said = *draft.config->initrd;
    if (draft.plan.root.kind != RootPlan::Kind::initramfs) {
        in.diagnostics.error(codes::conflicting_keys, said.span, "`initrd` is not for a machine with a `root`").help =
            "its init would never run; leave one of them out";
        return;
    }
    const PathFacts* facts = path_facts(in.facts, said.value);
    draft.plan.kernel.initrd = said.value;
    // Facts of another host don't know its content.
    if (facts != nullptr) { draft.plan.kernel.initrd_identity = facts->identity; }
}

/// The kernel that this machine has had, else one that the project uses.
const KernelPlan* pinned(const Inputs& in, const Draft& draft) {
    if (in.options.upgrade || in.facts.pinned.empty()) { return nullptr; }
    if (draft.observed != nullptr && draft.observed->plan && is_pinned_host_kernel(in, draft.observed->plan->kernel)) {
        return &draft.observed->plan->kernel;
    }
    for (const ObservedVm& vm : in.observed.vms) {
        if (vm.plan && is_pinned_host_kernel(in, vm.plan->kernel)) { return &vm.plan->kernel; }
    }
    return nullptr;
}

bool host_kernel(const Inputs& in, Draft& draft) {
    if (const KernelPlan* kept = pinned(in, draft)) {
        draft.plan.kernel = *kept;
        draft.plan.kernel.params.clear();
        return true;
    }
    const Span span = draft.config->kernel.span.known() ? draft.config->kernel.span : draft.config->name.span;
    const KernelFacts* unreadable = nullptr;
    for (const KernelFacts& kernel : in.facts.kernels) {
        if (!kernel.readable) { // what it is, nobody knows
            if (unreadable == nullptr) { unreadable = &kernel; }
        } else if (kernel.image != KernelImage::unknown) {
            draft.plan.kernel = in.host_kernels[static_cast<std::size_t>(&kernel - in.facts.kernels.data())];
            return true;
        }
    }
    auto& diagnostic = in.diagnostics.error(codes::no_kernel, span,
                                            unreadable == nullptr ? "the host has no kernel in /boot"
                                                                  : fmt::format("{} can't be read", unreadable->path));
    diagnostic.help =
        unreadable == nullptr
            ? "install one (linux-image-amd64 on Debian), or name one: kernel = \"path/to/vmlinuz\""
            : fmt::format("let everybody read it (chmod a+r {}), or name another: kernel = \"path/to/vmlinuz\"",
                          unreadable->path);
    return false;
}

bool named_kernel(const Inputs& in, Draft& draft) {
    const auto& [path, span] = draft.config->kernel;
    const auto known = in.facts.named_kernels.find(path);
    const PathFacts* facts = path_facts(in.facts, path);
    const bool missing = facts != nullptr && facts->kind == PathFacts::Kind::missing;
    if (known == in.facts.named_kernels.end() || missing) {
        const bool there = facts != nullptr && !missing;
        in.diagnostics
            .error(there ? codes::bad_kernel : codes::missing_path, span,
                   there ? fmt::format("`{}` is no kernel", path) : fmt::format("there is no kernel `{}`", path))
            .help = there ? "a kernel is a bzImage or an ELF vmlinux" : "";
        return false;
    }
    if (!known->second.readable) {
        in.diagnostics.error(codes::missing_path, span, fmt::format("`{}` can't be read", path));
        return false;
    }
    if (known->second.image == KernelImage::unknown) {
        in.diagnostics.error(codes::bad_kernel, span, fmt::format("`{}` is no kernel", path)).help =
            "a kernel is a bzImage or an ELF vmlinux";
        return false;
    }
    draft.plan.kernel = planned_kernel(in.facts, known->second);
    return true;
}

} // namespace

KernelPlan planned_kernel(const HostFacts& facts, const KernelFacts& kernel) {
    KernelPlan plan;
    plan.source = kernel.path;
    plan.release = kernel.release;
    plan.identity = kernel.identity;
    plan.pin = fmt::format("{}/kernels/{}", facts.state_dir, pin_name(kernel));
    plan.modules = kernel.modules;
    return plan;
}

std::vector<KernelPlan> planned_kernels(const HostFacts& facts) {
    std::vector<KernelPlan> plans;
    plans.reserve(facts.kernels.size());
    for (const KernelFacts& kernel : facts.kernels) { plans.push_back(planned_kernel(facts, kernel)); }
    return plans;
}

bool kernel(const Inputs& in, Draft& draft) {
    const std::string& said = draft.config->kernel.value;
    // The roots that there are, busybox and the host's own, have no other kernel than the host's.
    if (!(said == "host" || said == "root" ? host_kernel(in, draft) : named_kernel(in, draft))) { return false; }
    if (draft.config->kernel_config) { draft.plan.kernel.config = draft.config->kernel_config->value; }
    if (draft.config->modules) { take_modules(draft.plan.kernel, draft.config->modules->value); }
    if (draft.config->initrd) { take_initrd(in, draft); }
    return true;
}

} // namespace microvmc::resolving
