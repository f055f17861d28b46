#include "compiler/show.h"

#include "compiler/forward.h"
#include "compiler/schema.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <algorithm>
#include <fmt/format.h>

namespace microvmc {

namespace {

using Json = nlohmann::ordered_json;

/// Walks a merged tree by the schema, as decoding does.
class Walk {
public:
    Walk(const Merged& merged, const Sources& sources, std::span<const Traits> traits)
        : merged_(merged), sources_(sources), values_(sources, traits, ignored_, merged.routes) {}

    std::vector<ShownTable> all() {
        const Table& root = *merged_.root.table();
        ShownTable& top = tables_.emplace_back();
        for (const std::string_view name : {"version", "name"}) {
            const Member* member = root.find(name);
            if (member != nullptr) { key(*member, *schema_of<Config>().find(name), top.values); }
        }
        if (top.values.empty()) { tables_.pop_back(); }
        for (const std::string_view kind : {"network", "vm"}) {
            const Member* member = root.find(kind);
            if (member == nullptr || member->value.table() == nullptr) { continue; }
            for (const Member& each : member->value.table()->members) {
                if (each.value.table() == nullptr) { continue; }
                kind == "vm" ? machines(each) : table(each, std::string(kind), each.key, schema_of<NetworkConfig>());
            }
        }
        return std::move(tables_);
    }

private:
    void table(const Member& member, std::string kind, std::string name, const TableSchema& schema) {
        ShownTable& made = tables_.emplace_back();
        made.kind = std::move(kind);
        made.name = std::move(name);
        made.origin = origin(member.value, member.key_span);
        keys(*member.value.table(), schema, made.values);
    }

    void machines(const Member& member) {
        const Table& all = *member.value.table();
        extends_ = all.find("extends");
        const Member* said = all.find("count");
        const auto* count = said == nullptr ? nullptr : std::get_if<std::int64_t>(&said->value.value);
        for (std::int64_t index = 1; index <= (count == nullptr ? 1 : *count); ++index) {
            const std::string name = count == nullptr ? member.key : fmt::format("{}-{}", member.key, index);
            index_ = index;
            values_.set_instance(name, index);
            table(member, "vm", name, schema_of<VmConfig>());
        }
        values_.set_instance({}, 0);
        extends_ = nullptr;
        index_ = 1;
    }

    void keys(const Table& table, const TableSchema& schema, std::vector<ShownValue>& out) {
        const bool is_vm = &schema == &schema_of<VmConfig>();
        for (const Member& member : table.members) {
            // What they say is in the result already.
            if (is_vm && (member.key == "extends" || member.key == "count")) { continue; }
            if (const KeySchema* known = schema.find(member.key)) {
                key(member, *known, out);
            } else if (is_vm && member.value.table() != nullptr) {
                hypervisor(member, out);
            }
        }
    }

    void key(const Member& member, const KeySchema& key, std::vector<ShownValue>& out) {
        path_.push_back(member.key);
        const Table* table = member.value.table();
        switch (key.form) {
        case Form::table:
            if (table != nullptr) {
                inner(
                    member, [&] { keys(*table, *key.table, out); }, out);
            }
            break;
        case Form::named_tables:
            if (table == nullptr) { break; }
            for (const Member& each : table->members) {
                if (each.value.table() == nullptr) { continue; } // removed; a secret in the open never comes here
                path_.push_back(each.key);
                inner(
                    each, [&] { keys(*each.value.table(), *key.table, out); }, out);
                path_.pop_back();
            }
            break;
        case Form::string_table:
            if (table == nullptr) { break; }
            for (const Member& each : table->members) {
                path_.push_back(each.key);
                if (each.value.string() != nullptr) { add(*each.value.string(), each.value, each.value.span, out); }
                path_.pop_back();
            }
            break;
        case Form::collection: collection(member, *key.table, out); break;
        case Form::boolean:
        case Form::integer:
        case Form::number:
        case Form::size:
        case Form::duration:
        case Form::string:
        case Form::word:
        case Form::flag_or_word:
        case Form::integer_or_word:
        case Form::name:
        case Form::names:
        case Form::hypervisors:
        case Form::path:
        case Form::path_or_word:
        case Form::globs:
        case Form::guest_path:
        case Form::strings:
        case Form::texts:
        case Form::arguments:
        case Form::argument_lists:
        case Form::parameters:
        case Form::mac:
        case Form::addresses:
        case Form::address:
        case Form::http:
        case Form::text_or_number:
        case Form::tables:
        case Form::custom: leaf(member, key, out); break;
        }
        path_.pop_back();
    }

    void leaf(const Member& member, const KeySchema& key, std::vector<ShownValue>& out) {
        const std::optional<Value> value = values_.read(key, member.value);
        if (!value) { return; }
        add(json_of(key, *value), member.value, member.key_span, out);
        const Array* array = member.value.array();
        const auto* strings = std::get_if<Strings>(&value->data);
        if (array == nullptr || strings == nullptr) { return; }
        std::vector<ShownOrigin> elements;
        for (const Node& item : array->items) {
            if (!is_inherited_marker(item)) { elements.push_back(origin(item, item.span)); }
        }
        const auto elsewhere = [&](const ShownOrigin& each) {
            return each.from != elements.front().from || each.at.file != elements.front().at.file;
        };
        if (elements.size() == strings->size() && std::ranges::any_of(elements, elsewhere)) {
            out.back().elements = std::move(elements);
        }
    }

    /// A table, which is shown as such when nothing in it is.
    template <typename Show> void inner(const Member& member, Show show, std::vector<ShownValue>& out) {
        const std::size_t before = out.size();
        show();
        if (out.size() == before) { add(Json::object(), member.value, member.key_span, out); }
    }

    void hypervisor(const Member& member, std::vector<ShownValue>& out) {
        path_.push_back(member.key);
        inner(
            member,
            [&] {
                for (const Member& each : member.value.table()->members) {
                    if (const KeySchema* known = schema_of<HypervisorConfig>().find(each.key)) {
                        key(each, *known, out);
                        continue;
                    }
                    path_.push_back(each.key);
                    add(scalar(each.value), each.value, each.key_span, out);
                    path_.pop_back();
                }
            },
            out);
        path_.pop_back();
    }

    void collection(const Member& member, const TableSchema& schema, std::vector<ShownValue>& out) {
        Node whole = member.value;
        as_table(whole);
        if (whole.table() == nullptr) { return; }
        std::vector<Member>& elements = whole.table()->members;
        std::erase_if(elements, [](const Member& each) { return each.value.is_false(); });
        const bool named = std::ranges::none_of(elements, [](const Member& each) { return each.key.empty(); });
        if (!named) { return unnamed(member, elements, schema, out); }
        for (const Member& each : elements) {
            path_.push_back(each.key);
            if (each.value.string() != nullptr) { add(shorthand(each.value), each.value, each.key_span, out); }
            if (const Table* table = each.value.table()) {
                inner(
                    each, [&] { keys(*table, schema, out); }, out);
            }
            path_.pop_back();
        }
    }

    /// As an array; a name that TOML could give to some of them stands in the element.
    void unnamed(const Member& member, const std::vector<Member>& elements, const TableSchema& schema,
                 std::vector<ShownValue>& out) {
        Json array = Json::array();
        std::vector<ShownOrigin> origins;
        for (const Member& each : elements) {
            origins.push_back(origin(each.value, each.key_span));
            if (each.value.string() != nullptr && each.key.empty()) {
                array.push_back(shorthand(each.value));
                continue;
            }
            std::vector<std::string> outer = std::exchange(path_, {});
            std::vector<ShownValue> values;
            if (each.value.table() != nullptr) { keys(*each.value.table(), schema, values); }
            Json object = Json::object();
            if (!each.key.empty()) { object["name"] = each.key; }
            if (each.value.string() != nullptr) { spell_out(shorthand(each.value), object); }
            for (ShownValue& value : values) {
                Json* at = &object;
                for (const std::string& part : value.path) { at = &(*at)[part]; }
                *at = std::move(value.value);
            }
            array.push_back(std::move(object));
            path_ = std::move(outer);
        }
        add(std::move(array), member.value, member.key_span, out);
        out.back().elements = std::move(origins);
    }

    /// A forward as a string, for this instance.
    std::string shorthand(const Node& node) {
        const std::string& text = *node.string();
        if (index_ <= 1) { return text; }
        ForwardConfig forward;
        if (!parse_forward(text, node.span, &forward).empty()) { return text; }
        const std::string before = std::to_string(forward.host->port->value);
        values_.count_up(forward, node);
        // "[ADDR:]HOST:GUEST[/udp]": HOST stands before the last colon.
        const std::size_t end = text.rfind(':');
        return text.substr(0, end - before.size()) + std::to_string(forward.host->port->value) + text.substr(end);
    }

    /// A forward that is a string, as a table, which can have a name.
    static void spell_out(const std::string& text, Json& object) {
        ForwardConfig forward;
        if (!parse_forward(text, {}, &forward).empty()) { return; }
        if (text.find('/') != std::string::npos) { object["proto"] = forward.proto.value; }
        if (forward.host->address) { object["host"]["address"] = forward.host->address->value; }
        object["host"]["port"] = forward.host->port->value;
        object["guest"]["port"] = forward.guest->port->value;
    }

    static Json scalar(const Node& node) {
        if (const std::string* text = node.string()) { return *text; }
        if (const auto* number = std::get_if<std::int64_t>(&node.value)) { return *number; }
        if (const bool* flag = std::get_if<bool>(&node.value)) { return *flag; }
        return nullptr; // decoding refuses all else
    }

    static Json strings_json(const Strings& strings) {
        Json array = Json::array();
        for (const auto& each : strings) { array.push_back(each.value); }
        return array;
    }

    static Json text_json(Form form, const std::string& text) {
        if (form == Form::flag_or_word && (text == "true" || text == "false")) { return text == "true"; }
        if (form == Form::integer_or_word) {
            if (const auto number = parse_number(text)) { return *number; }
        }
        return text;
    }

    static Json json_of(const KeySchema& key, const Value& value) {
        if (const bool* flag = std::get_if<bool>(&value.data)) { return *flag; }
        if (const auto* number = std::get_if<std::int64_t>(&value.data)) {
            if (key.form == Form::size) { return format_size(static_cast<std::uint64_t>(*number)); }
            if (key.form == Form::duration) { return format_duration(*number); }
            return *number;
        }
        if (const auto* number = std::get_if<double>(&value.data)) { return *number; }
        if (const auto* text = std::get_if<std::string>(&value.data)) { return text_json(key.form, *text); }
        if (const auto* strings = std::get_if<Strings>(&value.data)) { return strings_json(*strings); }
        Json lists = Json::array();
        if (const auto* all = std::get_if<std::vector<Strings>>(&value.data)) {
            for (const Strings& each : *all) { lists.push_back(strings_json(each)); }
        }
        return lists;
    }

    void add(Json value, const Node& node, const Span& span, std::vector<ShownValue>& out) {
        out.push_back({path_, std::move(value), origin(node, span), {}});
    }

    ShownOrigin origin(const Node& node, const Span& span) const {
        ShownOrigin made;
        const Span& at = node.span.known() ? node.span : span;
        if (at.known()) { made.at = {sources_.files.at(at.file).path, at.begin.line, at.begin.column}; }
        if (node.route != 0) {
            const Route& route = merged_.routes.at(node.route - 1);
            made.from = route.message.empty() ? "defaults" : "template " + template_at(route.span);
        }
        return made;
    }

    /// The template that a name in this machine's `extends` is.
    std::string template_at(const Span& span) const {
        const auto text = [&](const Node& node) {
            return node.span == span && node.string() != nullptr ? *node.string() : std::string();
        };
        if (extends_ == nullptr) { return {}; }
        std::string name = text(extends_->value);
        if (const Array* array = extends_->value.array()) {
            for (const Node& item : array->items) { name += text(item); }
        }
        return name;
    }

    const Merged& merged_;
    const Sources& sources_;
    Diagnostics ignored_; // decoding has said all of them
    Values values_;
    std::vector<ShownTable> tables_;
    std::vector<std::string> path_;
    const Member* extends_ = nullptr; ///< of the machine that is being walked
    std::int64_t index_ = 1;
};

} // namespace

std::vector<ShownTable> show(const Merged& merged, const Sources& sources, std::span<const Traits> traits) {
    return Walk(merged, sources, traits).all();
}

} // namespace microvmc
