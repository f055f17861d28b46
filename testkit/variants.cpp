#include "testkit/variants.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace microvmc::testkit {

namespace {

std::vector<std::string> needs_of(const Node& step) {
    std::vector<std::string> needs;
    const Member* member = step.table() == nullptr ? nullptr : step.table()->find("needs");
    const Array* array = member == nullptr ? nullptr : member->value.array();
    if (array == nullptr) { return needs; } // decoding says what is wrong with it
    for (const Node& item : array->items) {
        if (const std::string* text = item.string()) { needs.push_back(*text); }
    }
    return needs;
}

std::set<std::string> mentioned(const std::vector<OptionalPart>& parts, const Table& root) {
    std::set<std::string> all;
    for (const OptionalPart& part : parts) { all.insert(part.capability); }
    const Member* steps = root.find("step");
    if (steps == nullptr || steps->value.array() == nullptr) { return all; }
    for (const Node& step : steps->value.array()->items) {
        for (std::string& need : needs_of(step)) { all.insert(std::move(need)); }
    }
    return all;
}

} // namespace

std::vector<OptionalPart> read_optional(const Table& root, Diagnostics& diagnostics) {
    std::vector<OptionalPart> parts;
    const Member* optional = root.find("optional");
    if (optional == nullptr) { return parts; }
    const Table* table = optional->value.table();
    if (table == nullptr) {
        diagnostics
            .error(codes::wrong_type, optional->value.span,
                   fmt::format("`optional` is a table of capabilities, not {}", type_name(optional->value)))
            .help = "a part is written [optional.\"volume.qcow2\"]";
        return parts;
    }
    for (const Member& member : table->members) {
        if (find_capability(member.key).empty()) {
            no_capability(member.key, member.key_span, diagnostics);
        } else if (member.value.table() == nullptr) {
            diagnostics.error(codes::wrong_type, member.value.span,
                              fmt::format("an optional part is a table, not {}", type_name(member.value)));
        } else {
            parts.push_back({member.key, member.value});
        }
    }
    return parts;
}

std::vector<Variant> variants(const std::vector<OptionalPart>& parts, const Table& root, std::span<const Traits> traits,
                              std::span<const HypervisorVersion> versions) {
    const std::set<std::string> all = mentioned(parts, root);
    std::vector<Variant> made;
    for (const Traits& each : traits) {
        const auto known = std::ranges::find(versions, each.name, &HypervisorVersion::hypervisor);
        const std::string_view version = known == versions.end() ? std::string_view{} : known->version;
        std::set<std::string> has;
        for (const std::string& capability : all) {
            if (refusal(each, capability, version).empty()) { has.insert(capability); }
        }
        const auto same = std::ranges::find(made, has, &Variant::has);
        Variant& variant = same == made.end() ? made.emplace_back(Variant{std::move(has), {}}) : *same;
        variant.hypervisors.emplace_back(each.name);
    }
    if (std::ranges::find(made, all, &Variant::has) == made.end()) { made.push_back({all, {}}); }
    return made;
}

void drop_steps(Table& root, const std::set<std::string>& has) {
    Member* steps = root.find("step");
    if (steps == nullptr || steps->value.array() == nullptr) { return; }
    std::erase_if(std::get<Array>(steps->value.value).items, [&has](const Node& step) {
        return std::ranges::any_of(needs_of(step), [&](const std::string& need) { return !has.contains(need); });
    });
}

void no_capability(std::string_view capability, const Span& span, Diagnostics& diagnostics) {
    auto& diagnostic =
        diagnostics.error(codes::unknown_capability, span, fmt::format("`{}` is no capability", printable(capability)));
    std::vector<std::string_view> known;
    for (const CapabilityName& each : known_capabilities()) { known.push_back(each.name); }
    const std::string_view meant = nearest(capability, known);
    diagnostic.help = meant.empty() ? "`microvmc hypervisors` lists them" : fmt::format("did you mean `{}`?", meant);
}

} // namespace microvmc::testkit
