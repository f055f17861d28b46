#pragma once

#include "compiler/traits.h"

#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// A text of the plan that gets into an option of a program whose syntax can't say all texts.
struct OptionValue {
    std::string key; ///< of the plan, where it was written: "volumes.data.image"; empty: the machine's own directories
    std::string value;
};

/// Images and serial numbers of all disks, in the order of disks_of.
std::vector<OptionValue> image_values(const VmPlan& vm);
/// Each share's directory.
std::vector<OptionValue> share_source_values(const VmPlan& vm);
/// Each share's tag.
std::vector<OptionValue> share_tag_values(const VmPlan& vm);
/// The directory of the sockets.
std::vector<OptionValue> socket_values(const VmPlan& vm);

/// Pure: a problem for each value that has one of the characters `special` or a NUL in it, or that begins with a dash.
void refuse_values(std::string_view title, std::string_view special, const std::vector<OptionValue>& values,
                   std::vector<Problem>& problems);

/// For who writes the option: throws Error for the first of them, which `choose_machine` has refused before.
void require_values(std::string_view title, std::string_view special, const std::vector<OptionValue>& values);

} // namespace microvmc
