#include "compiler/reference_markdown.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/reference_text.h"
#include "compiler/schema_text.h"

#include <fmt/format.h>

namespace microvmc {

namespace {

/// Text in a cell of a table; what is between backticks stands as it is, but for the bars.
std::string cell(std::string_view text) {
    std::string out;
    bool code = false;
    for (const char c : text) {
        if (c == '`') { code = !code; }
        const bool special = c == '|' || (!code && (c == '*' || c == '_' || c == '<' || c == '['));
        if (special) { out += '\\'; }
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

std::string meaning(const KeySchema& key, std::span<const Traits> traits) {
    const std::string unbuilt = unbuilt_text(key, traits);
    return unbuilt.empty() ? std::string(key.doc) : fmt::format("{} {}", key.doc, unbuilt);
}

std::string keys(const TableSchema& schema, std::span<const Traits> traits) {
    std::string text = markdown_row({"Key", "Type", "Default", "Meaning"}) + "|---|---|---|---|\n";
    for (const KeySchema& key : schema.keys) {
        text += markdown_row({fmt::format("`{}`", key.name), type_text(key), default_text(key), meaning(key, traits)});
    }
    return text;
}

std::string places(const ReferenceTable& table) {
    if (table.places.size() == 1) { return fmt::format("{}\n\n", cell(table.places.front().doc)); }
    std::string text;
    for (const ReferenceTable::Place& place : table.places) {
        text += fmt::format("- `{}`: {}\n", place.path, cell(place.doc));
    }
    return text + "\n";
}

std::string title(const ReferenceTable& table) {
    const std::string& path = table.places.back().path;
    return path.empty() ? "The file" : fmt::format("`{}`", path);
}

std::string hypervisor_text(const Traits& traits) {
    std::string text =
        fmt::format("## `[vm.NAME.{}]`\n\nUsed when {} runs the machine.\n\n", traits.name, traits.title);
    text += keys(schema_of<HypervisorConfig>(), {});
    for (const Traits::Option& option : traits.options) {
        text +=
            markdown_row({fmt::format("`{}`", option.name), "string, integer or boolean", "", std::string(option.doc)});
    }
    return text + "\n";
}

std::string capabilities_text(std::span<const Traits> traits) {
    std::string text =
        "## Capabilities\n\nWhat a machine's keys may ask of a hypervisor, and which has it: `native` when "
        "the hypervisor does it itself, `bridged` when microvmc supplies what it lacks.\n\n| Capability |";
    std::string rule = "\n|---|";
    for (const Traits& each : traits) {
        text += fmt::format(" {} |", each.title);
        rule += "---|";
    }
    text += " Meaning |" + rule + "---|\n";
    for (const CapabilityName& known : known_capabilities()) {
        text += fmt::format("| `{}` |", known.name);
        for (const Traits& each : traits) {
            text += fmt::format(" {} |", support_word(each.capability(known.name).support));
        }
        text += fmt::format(" {} |\n", cell(known.doc));
    }
    return text + "\n";
}

std::string codes_text() {
    std::string text =
        "## Diagnostics\n\nEach message has a code, which keeps its meaning. `microvmc explain CODE` prints "
        "these texts. `E` is an error, `W` a warning.\n\n| Code | Meaning |\n|---|---|\n";
    for (const CodeInfo& info : diagnostic_codes()) {
        text += fmt::format("| {} | **{}.** {} |\n", info.code, cell(info.title), cell(info.explanation));
    }
    return text;
}

} // namespace

std::string markdown_row(std::initializer_list<std::string> cells) {
    std::string text = "|";
    for (const std::string& each : cells) { text += each.empty() ? " |" : " " + cell(each) + " |"; }
    return text + "\n";
}

std::string markdown_table(const ReferenceTable& table, std::span<const Traits> traits) {
    std::string text = fmt::format("## {}\n\n{}", title(table), places(table));
    if (!table.rules.empty()) { text += table.rules + "\n\n"; }
    return text + keys(*table.schema, traits) + "\n";
}

std::string_view support_word(Support support) {
    switch (support) {
    case Support::native: return "native";
    case Support::bridged: return "bridged";
    case Support::unsupported: break;
    }
    return "-";
}

std::string reference_markdown(std::span<const Traits> traits) {
    std::string text =
        "<!-- Made by ci/generate from the table in compiler/schema.cpp: edit that. -->\n\n"
        "# The language of microvm.toml\n\nA microvm.toml describes the virtual machines of a project, in "
        "TOML. This is every key it can have. [EDITORS.md](EDITORS.md) shows how to have them completed "
        "and checked while you type.\n\n";
    for (const ReferenceSection& section : reference_preface()) {
        text += fmt::format("## {}\n\n{}\n\n", section.title, section.text);
    }
    for (const ReferenceTable& table : reference_tables()) { text += markdown_table(table, traits); }
    for (const Traits& each : traits) { text += hypervisor_text(each); }
    return text + capabilities_text(traits) + codes_text();
}

} // namespace microvmc
