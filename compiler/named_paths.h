#pragma once

#include "compiler/config.h"
#include "compiler/facts.h"

#include <string_view>
#include <vector>

namespace microvmc {

/// A file or directory of the host that a machine's text names and that must exist when the plan is made.
struct NamedPath {
    const Located<std::string>* path = nullptr;
    PathFacts::Kind kind = PathFacts::Kind::file; ///< file: a block device, too; other: a directory as well
    std::string_view what;                        ///< "root image"
};

/// Those of a machine that are no more than looked at: root, initramfs, cloud-init, credentials, backing images. Images
/// of volumes, sources of shares, kernels and programs are resolved by their own rules.
std::vector<NamedPath> named_paths(const VmConfig& vm);

} // namespace microvmc
