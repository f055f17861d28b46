#include "runtime/backends/values.h"

#include "runtime/backends/parts.h"
#include "runtime/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace microvmc {

namespace {

/// The characters as people read them: "a comma or an equals sign".
std::string names_of(std::string_view special) {
    std::string names;
    for (const char c : special) {
        const std::string_view name = c == ','               ? "a comma"
                                      : c == '='             ? "an equals sign"
                                      : c == ':'             ? "a colon"
                                      : c == ' '             ? "a space"
                                      : c == '"'             ? "a double quote"
                                      : c == '[' || c == ']' ? "a bracket"
                                                             : "a control character";
        if (names.find(name) != std::string::npos) { continue; }
        if (!names.empty()) { names += " or "; }
        names += name;
    }
    return names;
}

} // namespace

std::vector<OptionValue> image_values(const VmPlan& vm) {
    std::vector<OptionValue> values;
    for (const VolumePlan& disk : disks_of(vm)) {
        const bool is_volume = !disk.name.empty();
        const std::string volume = "volumes." + disk.name;
        values.push_back({is_volume ? volume + ".image" : "root", disk.image});
        if (!disk.serial.empty()) { values.push_back({is_volume ? volume + ".serial" : "root", disk.serial}); }
    }
    return values;
}

std::vector<OptionValue> share_source_values(const VmPlan& vm) {
    std::vector<OptionValue> values;
    for (const SharePlan& share : vm.shares) { values.push_back({"shares." + share.name + ".source", share.source}); }
    return values;
}

std::vector<OptionValue> share_tag_values(const VmPlan& vm) {
    std::vector<OptionValue> values;
    for (const SharePlan& share : vm.shares) { values.push_back({"shares." + share.name + ".tag", share.tag}); }
    return values;
}

std::vector<OptionValue> socket_values(const VmPlan& vm) {
    std::vector<OptionValue> values{{"", vm.runtime_dir}};
    for (const SharePlan& share : vm.shares) {
        if (!share.socket.empty()) { values.push_back({"shares." + share.name + ".socket", share.socket}); }
    }
    return values;
}

void refuse_values(std::string_view title, std::string_view special, const std::vector<OptionValue>& values,
                   std::vector<Problem>& problems) {
    for (const OptionValue& each : values) {
        const std::string& value = each.value;
        const bool cannot = value.find_first_of(special) != std::string::npos ||
                            value.find('\0') != std::string::npos || value.starts_with('-');
        if (!cannot) { continue; }
        const std::string name = each.key.empty() ? "the machine's runtime directory" : each.key;
        problems.push_back(
            {each.key,
             fmt::format("{} has no way to say {} in an option, which {} has: {}", title,
                         value.starts_with('-') ? "a dash at the beginning" : names_of(special), name, value),
             each.key.empty() ? "name another place in MICROVMC_RUNTIME_DIR" : "give it another name"});
    }
}

void require_values(std::string_view title, std::string_view special, const std::vector<OptionValue>& values) {
    std::vector<Problem> problems;
    refuse_values(title, special, values, problems);
    if (!problems.empty()) { throw Error(problems.front().message, problems.front().help); }
}

} // namespace microvmc
