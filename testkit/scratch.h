#pragma once

#include "compiler/config.h"
#include "compiler/document.h"

#include <string>
#include <string_view>

// ${scratch}: a directory of the host that a case has for itself, from before its machines are planned until they are
// gone.

namespace microvmc::testkit {

inline constexpr std::string_view scratch_name = "scratch";
/// What stands for it in a case's machines until it is made. It is a path, so that it is decoded as one.
inline constexpr std::string_view scratch_mark = "/<scratch>";

/// Whether a text in there refers to it, as a spec does or as a shell does.
bool mentions_scratch(const Node& node);

/// The machines with the directory in place of the mark.
Config placed(const Config& config, const std::string& directory);

} // namespace microvmc::testkit
