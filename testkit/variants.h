#pragma once

#include "compiler/diagnostic.h"
#include "compiler/document.h"
#include "compiler/traits.h"

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace microvmc::testkit {

/// The version of a hypervisor that cases run on; what isn't installed has none.
struct HypervisorVersion {
    std::string_view hypervisor;
    std::string_view version;
};

/// A fragment of a spec that is merged over its machines where the hypervisor has the capability.
struct OptionalPart {
    std::string capability;
    Node fragment;
};

/// What a spec is where hypervisors have the same of all that it makes optional.
struct Variant {
    std::set<std::string> has;            ///< of the capabilities that optional parts and steps need
    std::vector<std::string> hypervisors; ///< in the order of their traits; empty: it is looked at, and never runs
};

/// The parts in `optional`; what isn't right is in `diagnostics` and left out.
std::vector<OptionalPart> read_optional(const Table& root, Diagnostics& diagnostics);

/// One for each set of capabilities that hypervisors have of those that parts and steps need, and one with all of them.
/// A spec that makes nothing optional has a single one. Pure.
std::vector<Variant> variants(const std::vector<OptionalPart>& parts, const Table& root, std::span<const Traits> traits,
                              std::span<const HypervisorVersion> versions);

/// Takes out the steps that need what isn't had.
void drop_steps(Table& root, const std::set<std::string>& has);

/// Says of `capability` that there is none of that name.
void no_capability(std::string_view capability, const Span& span, Diagnostics& diagnostics);

} // namespace microvmc::testkit
