#pragma once

#include "compiler/facts.h"
#include "compiler/plan.h"
#include "runtime/action.h"

#include <string>
#include <vector>

// The initramfs of a machine: one newc archive, uncompressed (unpacking costs a guest more than reading), of three
// parts that are made apart, because all but the last is the same from one machine to the next:
//
//     base       /microvmc/init, busybox with its applets, the directories and devices of a root
//     modules    /microvmc/modules/*.ko
//     spec       /microvmc/spec
//
// The first two are kept beside the result, named by what they are made from.

namespace microvmc {

/// Pure: names an initramfs by what goes in it. 64 hexadecimal digits.
std::string initramfs_key(const ToolFacts& busybox, const ToolFacts& init, const KernelPlan& kernel,
                          const std::vector<std::string>& modules, const std::vector<std::string>& file_systems,
                          const std::string& spec);

/// Makes it whole, under `request.output`; false when it is there, made since the host started. The spec in it is the
/// request's, with a `module` record for each module, in load order, and a `file-system` record for each of those,
/// before. A modules directory without modules.dep (a kernel that has none) gives none. Throws Error when a module is
/// neither there nor built into the kernel, or a program is linked dynamically and couldn't run in the guest.
bool build_initramfs(const BuildInitramfs& request);

} // namespace microvmc
