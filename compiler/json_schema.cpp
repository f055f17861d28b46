#include "compiler/json_schema.h"

#include "compiler/schema.h"
#include "compiler/schema_text.h"
#include "compiler/values.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <variant>

namespace microvmc {

namespace {

using Json = nlohmann::ordered_json;

// Patterns are the common part of ECMAScript's, Python's and Rust's: no look-ahead, no \d. Each takes at least what
// values.cpp takes.
constexpr const char* name_pattern = "^[a-z][a-z0-9-]{0,30}$";
constexpr const char* element_pattern = "^([a-z][a-z0-9-]{0,30})?$";  // an empty name is none
constexpr const char* counted_name_pattern = "^[a-z$][a-z0-9${}-]*$"; // ${name} and ${index} stand in it
constexpr const char* size_pattern = "^[0-9]+(MiB|M|GiB|G|TiB|T)$";
constexpr const char* duration_pattern = "^([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
constexpr const char* path_pattern = "^[^~]";
constexpr const char* guest_path_pattern = "^/";
constexpr const char* parameter_pattern = "^[^\"]+$";
constexpr const char* mac_pattern = "^[0-9A-Fa-f][02468ACEace]([:-][0-9A-Fa-f][0-9A-Fa-f]){5}$";
constexpr const char* address_pattern = "^[0-9A-Fa-f.:]+$";
constexpr const char* addresses_pattern = "^(dhcp|[0-9A-Fa-f.:]+(/[0-9]+)?)$";
constexpr const char* http_pattern = "^:[0-9]+(/[^ ]*)?$";
constexpr const char* forward_pattern = "^(.+:)?[0-9]+:[0-9]+(/(tcp|udp))?$";
constexpr const char* marker_pattern = "^[.][.][.]$";
constexpr const char* forward_or_marker_pattern = "^([.][.][.]|(.+:)?[0-9]+:[0-9]+(/(tcp|udp))?)$";

constexpr const char* reference_pattern = "[$][{]";

constexpr std::int64_t size_max = std::int64_t{1} << 40; // MiB
constexpr std::int64_t year_s = std::int64_t{365} * 24 * 3600;

Json text(const char* pattern = nullptr) {
    Json json{{"type", "string"}};
    if (pattern != nullptr) { json["pattern"] = pattern; }
    return json;
}

Json integer(std::int64_t min, std::int64_t max) {
    Json json{{"type", "integer"}, {"minimum", min}};
    if (max != std::numeric_limits<std::int64_t>::max()) { json["maximum"] = max; }
    return json;
}

Json words(const KeySchema& key) {
    Json all = Json::array();
    for (const std::string_view word : key.words) { all.push_back(word); }
    return {{"enum", std::move(all)}};
}

Json any_of(std::initializer_list<Json> choices) {
    Json all = Json::array();
    for (const Json& each : choices) { all.push_back(each); }
    return {{"anyOf", std::move(all)}};
}

/// What `json` takes, or `false`, which removes what is inherited.
Json removable(Json json) {
    json["type"].push_back("boolean");
    json["not"] = {{"enum", Json::array({true})}};
    return json;
}

Json only_removal() {
    return {{"enum", Json::array({false})}};
}

Json marker() {
    return {{"enum", Json::array({"..."})}, {"description", "What was inherited stands here."}};
}

Json array(Json items, bool may_be_empty = true) {
    Json json{{"type", "array"}, {"items", std::move(items)}};
    if (!may_be_empty) { json["minItems"] = 1; }
    return json;
}

/// An array in which "..." may stand; a string that fits `item` anyway needs no mention of it.
Json spliced(Json item, bool may_be_empty = true) {
    return array(any_of({std::move(item), marker()}), may_be_empty);
}

/// A string or an array of them. Where the JSON type tells the choices apart, `anyOf` isn't used: of that, an editor
/// only says that nothing fits, not what is wrong.
Json one_or_more(const Json& item) {
    Json json = item;
    json["type"] = {"string", "array"};
    json["items"] = any_of({item, marker()});
    return json;
}

Json number_or_text(Json number, const char* pattern) {
    number["type"] = {"string", "integer"};
    number["pattern"] = pattern;
    return number;
}

/// What `json` takes, or a string with a reference in it.
Json or_reference(Json json) {
    if (json.contains("items")) { json["items"] = or_reference(std::move(json["items"])); }
    if (json.contains("enum")) { return any_of({std::move(json), text(reference_pattern)}); }
    if (json.contains("anyOf")) {
        for (Json& each : json["anyOf"]) { each = or_reference(std::move(each)); }
        return json;
    }
    Json& type = json["type"];
    if (!type.is_array()) { type = Json::array({type}); }
    if (std::find(type.begin(), type.end(), "string") == type.end()) {
        if (type.front() == "array") { return json; }
        type.push_back("string");
        json["pattern"] = reference_pattern;
    } else if (json.contains("pattern")) {
        json["pattern"] = fmt::format("({})|{}", json["pattern"].get<std::string>(), reference_pattern);
    }
    return json;
}

class Writer {
public:
    Writer(const TableSchema& root, bool references, std::span<const Traits> traits)
        : root_(root), references_(references), traits_(traits), names_(table_names(root)) {}

    Json file(const JsonSchemaTitle& title) {
        Json json{{"$schema", "http://json-schema.org/draft-07/schema#"},
                  {"title", title.title},
                  {"description", title.description}};
        json["type"] = "object";
        json.update(table(root_));
        json["definitions"] = Json::object();
        for (const auto& [schema, name] : names_) {
            if (schema != &root_) { json["definitions"][name] = table(*schema); }
        }
        return json;
    }

private:
    std::string name_of(const TableSchema& schema) const {
        for (const auto& [each, name] : names_) {
            if (each == &schema) { return name; }
        }
        return {};
    }

    /// Refers to the table's definition, which says nothing of what isn't a table.
    Json reference(const TableSchema& schema) const {
        return {{"type", Json::array({"object"})},
                {"allOf", Json::array({Json{{"$ref", "#/definitions/" + name_of(schema)}}})}};
    }

    Json table(const TableSchema& schema) const {
        Json properties = Json::object();
        if (is_collected(schema)) {
            properties["name"] = {{"description", "Its name, when it stands in an array; in a table, the key is."}};
        }
        for (const KeySchema& each : schema.keys) { properties[std::string(each.name)] = key(each); }
        if (&schema == &schema_of<VmConfig>()) {
            for (const Traits& traits : traits_) { properties[std::string(traits.name)] = hypervisor(traits); }
        }
        Json json{{"properties", std::move(properties)}, {"additionalProperties", false}};
        // Pairs, for an editor's message says which two; `oneOf` would say that nothing fits.
        for (std::size_t i = 0; i < schema.one_of.size(); ++i) {
            for (std::size_t k = i + 1; k < schema.one_of.size(); ++k) {
                json["allOf"].push_back(
                    {{"not", {{"type", "object"}, {"required", {schema.one_of[i], schema.one_of[k]}}}}});
            }
        }
        return json;
    }

    static bool is_collected(const TableSchema& schema) {
        for (const KeySchema& key : schema_of<VmConfig>().keys) {
            if (key.form == Form::collection && key.table == &schema) { return true; }
        }
        return false;
    }

    Json hypervisor(const Traits& traits) const {
        Json json = table(schema_of<HypervisorConfig>());
        for (const Traits::Option& option : traits.options) {
            json["properties"][std::string(option.name)] = {{"description", option.doc},
                                                            {"type", {"string", "integer", "boolean"}}};
        }
        json["type"] = "object";
        json["description"] = "Used when " + std::string(traits.title) + " runs the machine.";
        return json;
    }

    Json key(const KeySchema& key) const {
        Json json{{"description", description(key, traits_)}};
        Json type = value(key);
        const bool scalar = key.table == nullptr && key.form != Form::custom && key.form != Form::string_table;
        json.update(references_ && scalar ? or_reference(std::move(type)) : std::move(type));
        if (!key.default_text.empty()) { json["default"] = default_of(key); }
        return json;
    }

    static Json default_of(const KeySchema& key) {
        if (key.form == Form::flag_or_word && (key.default_text == "true" || key.default_text == "false")) {
            return key.default_text == "true";
        }
        if (key.form != Form::boolean && key.form != Form::integer) { return key.default_text; }
        const Value value = default_value(key);
        if (const bool* flag = std::get_if<bool>(&value.data)) { return *flag; }
        return std::get<std::int64_t>(value.data);
    }

    Json hypervisors() const {
        Json all = Json::array({"auto"});
        for (const Traits& traits : traits_) { all.push_back(traits.name); }
        return {{"enum", std::move(all)}};
    }

    static Json named(Json element, const char* pattern) {
        return {{"type", "object"},
                {"patternProperties", {{pattern, removable(std::move(element))}}},
                {"additionalProperties", only_removal()}};
    }

    Json collection(const KeySchema& key) const {
        Json element = reference(*key.table);
        Json item = element;
        item["properties"] = {{"name", text(element_pattern)}};
        item["type"].push_back("string");
        item["pattern"] = marker_pattern;
        if (key.table->shorthand != nullptr) {
            element["type"].push_back("string");
            element["pattern"] = forward_pattern;
            item["pattern"] = forward_or_marker_pattern;
        }
        Json json = named(std::move(element), element_pattern);
        json["type"] = {"object", "array"};
        json["items"] = removable(std::move(item)); // in a template a removal may stand, to no effect
        return json;
    }

    Json value(const KeySchema& key) const {
        switch (key.form) {
        case Form::boolean: return {{"type", "boolean"}};
        case Form::integer: return integer(key.min, key.max);
        case Form::number: return {{"type", "number"}, {"minimum", 0}, {"maximum", 1'000'000}};
        case Form::size: return number_or_text(integer(key.min, std::min(key.max, size_max)), size_pattern);
        case Form::duration: return number_or_text(integer(key.min > 0 ? 1 : 0, year_s), duration_pattern);
        case Form::string: return text();
        case Form::word: return words(key);
        case Form::flag_or_word: {
            Json json = words(key);
            json["enum"].insert(json["enum"].begin(), {true, false});
            return json;
        }
        case Form::integer_or_word: return any_of({integer(key.min, key.max), words(key)});
        case Form::name: return text(counted_name_pattern);
        case Form::names: return one_or_more(text(counted_name_pattern));
        case Form::hypervisors: return any_of({hypervisors(), spliced(hypervisors(), false)});
        case Form::path: return text(path_pattern);
        case Form::path_or_word: return any_of({words(key), text(path_pattern)});
        case Form::globs: return array(text(path_pattern));
        case Form::guest_path: return text(guest_path_pattern);
        case Form::strings: return array(text());
        case Form::texts: return one_or_more(text());
        case Form::arguments: return array(text(), false);
        case Form::argument_lists: return spliced(array(text(), false));
        case Form::string_table:
            return {{"type", "object"}, {"additionalProperties", removable({{"type", Json::array({"string"})}})}};
        case Form::parameters: return array(text(parameter_pattern));
        case Form::mac: return text(mac_pattern);
        case Form::addresses: return one_or_more(text(addresses_pattern));
        case Form::address: return text(address_pattern);
        case Form::http: return text(http_pattern);
        case Form::text_or_number: return {{"type", {"string", "number"}}};
        case Form::table: {
            Json json = reference(*key.table);
            if (key.table->shorthand == nullptr) { return json; }
            if (!key.words.empty()) {
                Json word = words(key);
                return any_of({references_ ? or_reference(std::move(word)) : std::move(word), std::move(json)});
            }
            json["type"].push_back("string");
            return json;
        }
        case Form::named_tables: return named(reference(*key.table), name_pattern);
        case Form::collection: return collection(key);
        case Form::tables: return array(reference(*key.table));
        case Form::custom: return Json::parse(key.json);
        }
        return {};
    }

    const TableSchema& root_;
    bool references_;
    std::span<const Traits> traits_;
    TableNames names_;
};

} // namespace

std::string json_schema(std::span<const Traits> traits) {
    return json_schema(schema_of<Config>(), {"microvm.toml", "Virtual machines, described for microvmc."}, false,
                       traits);
}

std::string json_schema(const TableSchema& root, const JsonSchemaTitle& title, bool references,
                        std::span<const Traits> traits) {
    return Writer(root, references, traits).file(title).dump(2) + "\n";
}

} // namespace microvmc
