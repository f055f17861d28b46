#include "compiler/document.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/prescan.h"
#include "compiler/secret_lines.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

Position position(const toml::source_position& at) {
    return {at.line, at.column};
}

Span span(std::uint32_t file, const toml::source_region& region) {
    return {file, position(region.begin), position(region.end)};
}

void convert(std::uint32_t file, toml::node& from, Node& to);

void convert(std::uint32_t file, toml::table& from, Table& to) {
    to.members.reserve(from.size());
    for (auto&& [key, value] : from) {
        Member& member = to.members.emplace_back();
        member.key = key.str();
        member.key_span = span(file, key.source());
        convert(file, value, member.value);
    }
    // toml++ keeps keys sorted by name; the language's order is the text's.
    std::ranges::sort(to.members, {}, [](const Member& member) { return member.key_span.begin; });
}

void convert(std::uint32_t file, toml::node& from, Node& to) {
    to.span = span(file, from.source());
    switch (from.type()) {
    case toml::node_type::table: convert(file, *from.as_table(), to.value.emplace<Table>()); return;
    case toml::node_type::array: {
        auto& items = to.value.emplace<Array>().items;
        items.reserve(from.as_array()->size());
        for (toml::node& item : *from.as_array()) { convert(file, item, items.emplace_back()); }
        return;
    }
    case toml::node_type::string: to.value = std::move(from.as_string()->get()); return;
    case toml::node_type::integer: to.value = from.as_integer()->get(); return;
    case toml::node_type::floating_point: to.value = from.as_floating_point()->get(); return;
    case toml::node_type::boolean: to.value = from.as_boolean()->get(); return;
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: to.value = Datetime{}; return;
    case toml::node_type::none: return;
    }
}

/// toml++ says where it stands in the grammar ("Error while parsing key-value pair: ..."); what is wrong comes after.
std::string what_is_wrong(std::string_view description) {
    constexpr std::string_view lead = "Error while parsing ";
    if (description.starts_with(lead)) {
        description.remove_prefix(lead.size());
        const auto colon = description.find(": ");
        if (colon != std::string_view::npos) {
            const std::string_view where = description.substr(0, colon);
            const bool vowel = std::string_view("aeiou").find(where.front()) != std::string_view::npos;
            return fmt::format("{} (in {} {})", description.substr(colon + 2), vowel ? "an" : "a", where);
        }
    }
    return std::string(description);
}

std::string help_for(std::string_view description) {
    if (description.find("redefine") != std::string_view::npos) {
        return "each key and table is written once; a table that dotted keys made (a.b = 1) or an inline table can't "
               "be "
               "continued under a [header]";
    }
    if (description.find("could not determine value type") != std::string_view::npos) {
        return "a string stands in quotes: \"text\"";
    }
    return {};
}

/// The bytes at a place; empty when there are none.
std::string_view text_at(std::string_view text, const toml::source_position& at) {
    for (auto line = at.line; line > 1; --line) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) { return {}; }
        text.remove_prefix(end + 1);
    }
    for (auto column = at.column; column > 1 && !text.empty(); --column) {
        text.remove_prefix(std::max<std::size_t>(utf8_length(text), 1));
    }
    return text;
}

void report(const toml::parse_error& error, std::uint32_t file, std::string_view text, Diagnostics& diagnostics) {
    Span at = span(file, error.source());
    const std::string_view there = text_at(text, error.source().begin);
    std::string message = what_is_wrong(error.description());
    std::string help = help_for(error.description());
    if (error.description().find("control characters") != std::string_view::npos && there.starts_with('\n')) {
        message = "the string isn't closed on its line";
        help = "the closing quote is missing; a text of several lines stands in three quotes";
    }
    if (at.end <= at.begin) {
        at.end = {at.begin.line, at.begin.column + 1};
        // Of a [header] toml++ knows the beginning only.
        if (there.starts_with('[')) {
            const std::string_view line = there.substr(0, there.find('\n'));
            const auto close = line.rfind(']');
            if (close != std::string_view::npos) {
                at.end.column = at.begin.column + static_cast<std::uint32_t>(close) + 1;
            }
        }
    }
    const std::string_view line = text_at(text, {at.begin.line, 1});
    message = SecretLines(text).message(at.begin.line, line.substr(0, line.find('\n')), message);
    diagnostics.error(codes::syntax, at, std::move(message)).help = std::move(help);
}

} // namespace

std::size_t count_values(const Node& node) {
    std::size_t count = 1;
    if (const Table* table = node.table()) {
        for (const Member& member : table->members) { count += count_values(member.value); }
    }
    if (const Array* array = node.array()) {
        for (const Node& item : array->items) { count += count_values(item); }
    }
    return count;
}

const Member* Table::find(std::string_view key) const {
    const auto found = std::ranges::find(members, key, &Member::key);
    return found == members.end() ? nullptr : &*found;
}

Member* Table::find(std::string_view key) {
    const auto found = std::ranges::find(members, key, &Member::key);
    return found == members.end() ? nullptr : &*found;
}

std::optional<Document> parse(const Sources& sources, std::uint32_t file, Diagnostics& diagnostics) {
    const SourceFile& source = sources.files.at(file);
    if (const auto problem = prescan(source.text)) {
        const Position end{problem->at.line, problem->at.line == 0 ? 0 : problem->at.column + 1};
        auto& diagnostic = diagnostics.error(problem->code, {file, problem->at, end}, problem->message);
        diagnostic.help = problem->help;
        return std::nullopt;
    }
    toml::parse_result parsed = toml::parse(std::string_view(source.text), std::string_view{});
    if (!parsed) {
        report(parsed.error(), file, source.text, diagnostics);
        return std::nullopt;
    }
    Document document{.file = file, .root = {}};
    document.root.span = {file, {1, 1}, {1, 1}};
    convert(file, parsed.table(), document.root.value.emplace<Table>());
    return document;
}

} // namespace microvmc
