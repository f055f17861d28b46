#pragma once

#include "compiler/config.h"
#include "compiler/plan.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// `${...}` in the text of a spec: an axis, a capture, or a value of a machine's plan (`${vm.a.volumes.data.image}`).

namespace microvmc::testkit {

/// text.substr(begin, end - begin) is "${name}".
struct Reference {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string_view name; ///< into the text
    bool closed = true;    ///< false: the rest of the text has no `}`, and is the name
};
std::vector<Reference> find_references(std::string_view text);

/// What a reference's name stands for; nothing: it stays as it is.
using Lookup = std::function<std::optional<std::string>(std::string_view name)>;
/// The text with its references replaced; what replaces one is not looked at again.
std::string substitute(std::string_view text, const Lookup& lookup);
/// The same of a regular expression: a reference stands for just its text, unless it is the whole expression.
std::string substitute_pattern(std::string_view text, const Lookup& lookup);

/// Whether a name is for a machine's plan: "vm.a.mem".
bool is_plan_reference(std::string_view name);
/// What it stands for: sizes in MiB, addresses without prefix length. Nothing when this plan has no such value.
std::optional<std::string> plan_value(const Plan& plan, std::string_view name);
/// The environment variable that a command has it by: "vm_a_mem".
std::string variable_of(std::string_view name);

/// Why no plan of these machines can have such a value, for a diagnostic.
struct ReferenceProblem {
    std::string message;
    std::string help;
};
std::optional<ReferenceProblem> check_plan_reference(const Config& config, std::string_view name);

/// What can stand behind `vm.NAME.`, and what it is, for the documentation: {"volumes.NAME.image", "..."}.
struct PlanValueName {
    std::string name;
    std::string_view doc;
};
std::vector<PlanValueName> plan_value_names();

} // namespace microvmc::testkit
