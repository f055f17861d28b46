#pragma once

#include <string>
#include <vector>

namespace microvmc::guest {

/// NAME=VALUE entries of both; where both have a name, `above` wins. The order of first appearance is kept.
std::vector<std::string> merge_environment(std::vector<std::string> below, const std::vector<std::string>& above);

/// What every program in the guest gets unless the settings say otherwise: PATH, HOME, TERM.
std::vector<std::string> default_environment();

} // namespace microvmc::guest
