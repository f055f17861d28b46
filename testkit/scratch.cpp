#include "testkit/scratch.h"

#include "compiler/schema.h"

#include <algorithm>

namespace microvmc::testkit {

namespace {

/// "$scratch", and no longer name.
bool has_variable(std::string_view text) {
    constexpr std::string_view variable = "$scratch";
    for (std::size_t at = text.find(variable); at != std::string_view::npos; at = text.find(variable, at + 1)) {
        const std::string_view rest = text.substr(at + variable.size());
        const char next = rest.empty() ? ' ' : rest.front();
        const bool goes_on =
            (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || (next >= '0' && next <= '9') || next == '_';
        if (!goes_on) { return true; }
    }
    return false;
}

} // namespace

bool mentions_scratch(const Node& node) {
    if (const std::string* text = node.string()) {
        return text->find("${scratch}") != std::string::npos || has_variable(*text);
    }
    if (const Table* table = node.table()) {
        return std::ranges::any_of(table->members, [](const Member& each) { return mentions_scratch(each.value); });
    }
    if (const Array* array = node.array()) { return std::ranges::any_of(array->items, mentions_scratch); }
    return false;
}

Config placed(const Config& config, const std::string& directory) {
    Config made = config;
    if (directory.empty()) { return made; }
    const auto place = [&directory](std::string& text) {
        for (std::size_t at = 0; (at = text.find(scratch_mark, at)) != std::string::npos; at += directory.size()) {
            text.replace(at, scratch_mark.size(), directory);
        }
    };
    for (VmConfig& vm : made.vms) {
        for_each_text(schema_of<VmConfig>(), &vm, place);
        for (HypervisorConfig& own : vm.hypervisors) { for_each_text(schema_of<HypervisorConfig>(), &own, place); }
    }
    return made;
}

} // namespace microvmc::testkit
