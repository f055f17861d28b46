#pragma once

#include "compiler/facts.h"

#include <compare>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// Orders kernel releases as `linux-version sort` and `sort -V` do: runs of digits as numbers, and "-rc" before the
/// release.
std::strong_ordering compare_releases(std::string_view a, std::string_view b);

/// The directory with modules.dep of this release, under one of `roots`; empty when there is none.
std::string modules_directory(const std::string& release,
                              const std::vector<std::string>& roots = {"/lib/modules", "/usr/lib/modules"});

/// One kernel file with its modules. A release that the file doesn't tell (it may be root's alone to read) is taken
/// from its name when there are modules of that name.
KernelFacts kernel_facts(const std::string& path,
                         const std::vector<std::string>& module_roots = {"/lib/modules", "/usr/lib/modules"});

/// BOOT/vmlinuz-*, newest release first; backups and rescue images are left out.
std::vector<KernelFacts> host_kernels(const std::string& boot = "/boot",
                                      const std::vector<std::string>& module_roots = {"/lib/modules",
                                                                                      "/usr/lib/modules"});

/// Those that pin_kernel put under <state_dir>/kernels, newest release first. `path` is the copy, `identity` that of
/// the file it was copied from (as KernelPlan::identity has it).
std::vector<KernelFacts> pinned_kernels(const std::string& state_dir);

} // namespace microvmc
