#pragma once

#include "compiler/facts.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace microvmc {

/// What is to be found out.
struct FactsRequest {
    std::string state_dir;
    std::string runtime_dir;
    std::vector<std::string> paths;                           ///< that the sources name
    std::vector<std::string> kernels;                         ///< that the sources name by path
    std::vector<std::string> kernel_configs{};                ///< that the sources name
    std::vector<std::string> oci_images;                      ///< that the sources name
    std::vector<std::string> root_sources;                    ///< of `paths`, those that roots are made of
    std::vector<std::pair<std::string, std::string>> devices; ///< of the host, that the sources name: bus and path
    std::vector<std::string> users{};                         ///< of the host, that the sources name
    std::vector<std::string> programs;                        ///< looked up on PATH; one with a slash is that file
    /// Program name -> path that stands for it instead of what PATH has.
    std::map<std::string, std::string> overrides;
    std::string guest_init; ///< path; empty: there is none
    std::string kvm_device = "/dev/kvm";
};

/// Looks at the host, as the user who asks. What takes time (versions of programs, what KVM can run, the TSC's
/// frequency) is kept in <state_dir>/cache/facts.json for this boot and as long as each file is the same one; all else
/// is looked at each time. What is missing or can't be read is so in the facts. Throws Error only when the host has no
/// processes or memory left.
HostFacts gather_facts(const FactsRequest& request);

} // namespace microvmc
