#include "compiler/schema_text.h"

#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <map>

namespace microvmc {

namespace {

using Found = std::vector<std::pair<const TableSchema*, std::string_view>>; // with the key that led there

void find_tables(const TableSchema& table, std::string_view key, Found& found) {
    if (std::ranges::find(found, &table, &Found::value_type::first) != found.end()) { return; }
    found.emplace_back(&table, key);
    for (const KeySchema& each : table.keys) {
        if (each.table != nullptr) { find_tables(*each.table, each.name, found); }
    }
}

std::string quoted_words(const KeySchema& key, std::vector<std::string> before = {}, std::string_view last = {}) {
    for (const std::string_view word : key.words) { before.push_back(fmt::format("`{}`", word)); }
    if (!last.empty()) { before.emplace_back(last); }
    const std::vector<std::string_view> all(before.begin(), before.end());
    return list_or(all);
}

std::string range(const KeySchema& key) {
    if (key.max != std::numeric_limits<std::int64_t>::max()) { return fmt::format("{} to {}", key.min, key.max); }
    return key.min == 0 ? std::string() : fmt::format("at least {}", key.min);
}

std::string with_range(std::string_view type, const std::string& text) {
    return text.empty() ? std::string(type) : fmt::format("{}, {}", type, text);
}

} // namespace

TableNames table_names(const TableSchema& root) {
    Found found;
    find_tables(root, {}, found);
    std::map<std::string_view, int> nouns;
    for (const auto& [table, key] : found) { ++nouns[table->noun]; }
    TableNames names;
    for (const auto& [table, key] : found) {
        const bool own = nouns[table->noun] == 1;
        names.emplace_back(table, own ? std::string(table->noun) : fmt::format("{}-{}", key, table->noun));
    }
    return names;
}

std::string unbuilt_text(const KeySchema& key, std::span<const Traits> traits) {
    if (key.needs.empty()) { return {}; }
    const auto is_missing = [traits](std::string_view capability) {
        return std::ranges::none_of(traits, [capability](const Traits& each) {
            return each.capability(capability).support != Support::unsupported;
        });
    };
    if (!key.needs.ends_with('*')) { return is_missing(key.needs) ? "No hypervisor does this yet." : ""; }
    std::vector<std::string> missing;
    for (const std::string_view word : key.words) {
        const auto capability = std::string(key.needs.substr(0, key.needs.size() - 1)).append(word);
        if (word != "auto" && is_missing(capability)) { missing.push_back(fmt::format("`{}`", word)); }
    }
    if (missing.empty()) { return {}; }
    const std::vector<std::string_view> all(missing.begin(), missing.end());
    return fmt::format("No hypervisor does {} yet.", list_or(all));
}

std::string description(const KeySchema& key, std::span<const Traits> traits) {
    std::string text(key.doc);
    if (!key.derived.empty()) { text += fmt::format(" When absent: {}.", key.derived); }
    if (const std::string unbuilt = unbuilt_text(key, traits); !unbuilt.empty()) { text += " " + unbuilt; }
    return text;
}

std::string type_text(const KeySchema& key) {
    switch (key.form) {
    case Form::boolean: return "true or false";
    case Form::integer: return with_range("integer", range(key));
    case Form::number: return "number above 0";
    case Form::size:
        return with_range("size", key.min == 0 ? "" : "at least " + format_size(static_cast<std::uint64_t>(key.min)));
    case Form::duration: return "duration";
    case Form::string: return "string";
    case Form::word: return quoted_words(key);
    case Form::flag_or_word: return quoted_words(key, {"true", "false"});
    case Form::integer_or_word: return quoted_words(key, {fmt::format("integer ({})", range(key))});
    case Form::name: return "name";
    case Form::names: return "name, or array of them";
    case Form::hypervisors: return "`auto`, a hypervisor, or array of them";
    case Form::path: return "path";
    case Form::path_or_word: return quoted_words(key, {"path"});
    case Form::globs: return "array of paths, with wildcards";
    case Form::guest_path: return "path in the guest";
    case Form::strings: return "array of strings";
    case Form::texts: return "string, or array of them";
    case Form::arguments: return "argv";
    case Form::argument_lists: return "array of argvs";
    case Form::string_table: return "table of strings";
    case Form::parameters: return "array of strings";
    case Form::mac: return "MAC address";
    case Form::addresses: return "`dhcp`, or address, or array of them";
    case Form::address: return "IP address";
    case Form::http: return "`:PORT/PATH`";
    case Form::text_or_number: return "string or number";
    case Form::table:
        if (!key.words.empty()) { return quoted_words(key, {}, "table"); }
        return key.table->shorthand != nullptr ? "string or table" : "table";
    case Form::named_tables: return "named tables";
    case Form::collection: return "collection";
    case Form::tables: return "array of tables";
    case Form::custom: return std::string(key.type);
    }
    return {};
}

} // namespace microvmc
