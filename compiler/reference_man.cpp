#include "compiler/reference_man.h"

#include "compiler/reference_text.h"
#include "compiler/roff.h"
#include "compiler/schema_text.h"

#include <fmt/format.h>

namespace microvmc {

namespace {

std::string entry(std::string_view name, const std::string& type, const std::string& absent,
                  const std::string& meaning) {
    std::string text = fmt::format(".TP\n.BR {} \" ({}", roff_text(name), roff_line(type));
    if (!absent.empty()) { text += fmt::format("; {}", roff_line(absent)); }
    return text + fmt::format(")\"\n{}\n", roff_line(meaning));
}

std::string keys(const TableSchema& schema, std::span<const Traits> traits) {
    std::string text;
    for (const KeySchema& key : schema.keys) {
        std::string absent = default_text(key);
        if (!absent.empty()) { absent = "default: " + absent; }
        std::string meaning(key.doc);
        if (const std::string unbuilt = unbuilt_text(key, traits); !unbuilt.empty()) { meaning += " " + unbuilt; }
        text += entry(key.name, type_text(key), absent, meaning);
    }
    return text;
}

} // namespace

std::string man_table(const ReferenceTable& table, std::span<const Traits> traits) {
    const std::string& path = table.places.back().path;
    std::string text = fmt::format(".SS \"{}\"\n", path.empty() ? "The file" : roff_text(path));
    if (table.places.size() == 1) {
        text += roff_line(table.places.front().doc) + "\n";
    } else {
        for (const ReferenceTable::Place& place : table.places) {
            text += fmt::format(".IP \\(bu 2\n\\fB{}\\fP: {}\n", roff_text(place.path), roff_line(place.doc));
        }
    }
    if (!table.rules.empty()) { text += ".PP\n" + roff_line(table.rules) + "\n"; }
    return text + keys(*table.schema, traits);
}

std::string man_sections(std::span<const ReferenceSection> sections) {
    std::string text;
    for (const ReferenceSection& section : sections) {
        text += fmt::format(".SS \"{}\"\n", roff_text(section.title)) + roff_markup(section.text);
    }
    return text;
}

std::string reference_man(std::span<const Traits> traits, std::string_view version) {
    std::string text =
        fmt::format(".\\\" Made by ci/generate.\n.TH MICROVM.TOML 5 \"\" \"microvmc {}\" \"File formats\"\n"
                    ".SH NAME\nmicrovm.toml \\- virtual machines, described for microvmc\n"
                    ".SH DESCRIPTION\nA microvm.toml describes the virtual machines of a project, in TOML. "
                    "This page has every key it can have.\n",
                    roff_text(version));
    text += ".SH GENERAL RULES\n" + man_sections(reference_preface());
    text += ".SH TABLES\n";
    for (const ReferenceTable& table : reference_tables()) { text += man_table(table, traits); }
    for (const Traits& each : traits) {
        text += fmt::format(".SS \"[vm.NAME.{}]\"\nUsed when {} runs the machine.\n", roff_text(each.name),
                            roff_text(each.title)) +
                keys(schema_of<HypervisorConfig>(), {});
        for (const Traits::Option& option : each.options) {
            text += entry(option.name, "string, integer or boolean", {}, std::string(option.doc));
        }
    }
    return text + ".SH SEE ALSO\n.BR microvmc (1)\n";
}

} // namespace microvmc
