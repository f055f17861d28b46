#pragma once

#include "compiler/plan.h"
#include "runtime/action.h"

#include <string>
#include <utility>
#include <vector>

namespace microvmc {

/// Where the disk for a machine's cloud-init lies.
std::string cloud_init_path(const VmPlan& vm);

/// An ISO 9660 image (with Rock Ridge names) of these files, in this order, by which cloud-init's NoCloud knows its
/// disk: its label is "cidata". The same files make the same bytes. Throws Error when it can't be made.
std::string cloud_init_image(const std::vector<std::pair<std::string, std::string>>& files);

/// Writes it whole, readable by its owner only: user-data may have secrets. What isn't named is made: meta-data with
/// the instance id and the host name, empty user-data. Throws Error.
void build_cloud_init(const BuildCloudInit& request);

} // namespace microvmc
