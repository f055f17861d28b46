#include "compiler/decode.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/forward.h"
#include "compiler/schema.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>
#include <unordered_set>

namespace microvmc {

namespace {

class Decoder {
public:
    Decoder(const Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics,
            std::span<const Route> routes)
        : values_(sources, traits, diagnostics, routes), traits_(traits), diagnostics_(diagnostics) {}

    void top(const Node& root, const TableSchema& schema, void* object) { keys(root, schema, object); }

private:
    /// Where we are, for messages: "vm.web.volumes.data"; empty at the top.
    std::string path() const { return fmt::format("{}", fmt::join(path_, ".")); }
    std::string inside() const { return path_.empty() ? std::string{} : fmt::format(" in [{}]", path()); }

    Diagnostic& error(const char* code, const Node& at, Span span, std::string message) {
        return values_.error(code, at, span, std::move(message));
    }

    void keys(const Node& node, const TableSchema& schema, void* object) {
        const Table& table = *node.table();
        for (const Member& member : table.members) {
            if (const KeySchema* key = schema.find(member.key)) {
                path_.push_back(member.key);
                this->key(member, *key, object);
                path_.pop_back();
            } else if (!hypervisor_table(member, schema, object)) {
                unknown(member, schema);
            }
        }
        needs_of_defaults(table, schema);
        choices(node, schema);
    }

    void key(const Member& member, const KeySchema& key, void* object) {
        switch (key.form) {
        case Form::table: one_table(member, key, object); return;
        case Form::named_tables: named_tables(member, key, object); return;
        case Form::collection: collection(member, key, object); return;
        case Form::tables: tables(member, key, object); return;
        case Form::custom: return;
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
        case Form::string_table:
        case Form::parameters:
        case Form::mac:
        case Form::addresses:
        case Form::address:
        case Form::http:
        case Form::text_or_number: break;
        }
        auto value = values_.read(key, member.value);
        if (!value) { return; }
        inherited(member);
        needs(key, *value, member.value.span);
        key.slot.store(object, std::move(*value));
    }

    /// Remembers that this machine has the value from elsewhere, for what resolving will say about it.
    void inherited(const Member& member) {
        const std::uint32_t route = member.value.route;
        if (route == 0 || vm_ == nullptr) { return; }
        vm_->inherited.push_back({member.value.span, route});
        vm_->inherited.push_back({member.key_span, route});
        if (const Array* array = member.value.array()) {
            for (const Node& item : array->items) { vm_->inherited.push_back({item.span, route}); }
        }
    }

    static bool is_default(const KeySchema& key, const Value& value) {
        if (key.default_text.empty()) { return false; }
        const Value given = default_value(key);
        if (const bool* flag = std::get_if<bool>(&given.data)) { return std::get<bool>(value.data) == *flag; }
        if (const auto* number = std::get_if<std::int64_t>(&given.data)) {
            return std::get<std::int64_t>(value.data) == *number;
        }
        if (const auto* text = std::get_if<std::string>(&given.data)) {
            return std::get<std::string>(value.data) == *text;
        }
        return false;
    }

    void needs(const KeySchema& key, const Value& value, Span span) {
        if (key.needs.empty() || vm_ == nullptr) { return; }
        if (!key.needs.ends_with('*') && is_default(key, value)) { return; }
        std::string_view word = "true";
        if (const bool* flag = std::get_if<bool>(&value.data)) { word = *flag ? "true" : "false"; }
        if (const auto* text = std::get_if<std::string>(&value.data)) { word = *text; }
        if (const auto* texts = std::get_if<Strings>(&value.data); texts != nullptr && texts->empty()) { return; }
        need(key, word, span);
    }

    /// A table's or a collection's own.
    void needs(const KeySchema& key, Span span) {
        if (!key.needs.empty() && vm_ != nullptr) { need(key, "true", span); }
    }

    void need(const KeySchema& key, std::string_view word, Span span) {
        std::string_view name = key.needs;
        std::string made;
        if (name.ends_with('*')) {
            if (word == "auto") { return; }
            made = std::string(name.substr(0, name.size() - 1)).append(word);
            name = made;
        } else if (word == "false" || word == "no" || word == "none" || word == "auto" || word == "off") {
            return;
        }
        vm_->needs.push_back({find_capability(name), span});
    }

    void needs_of_defaults(const Table& table, const TableSchema& schema) {
        if (vm_ == nullptr) { return; }
        for (const KeySchema& key : schema.keys) {
            if (key.needs.ends_with('*') && !key.default_text.empty() && table.find(key.name) == nullptr) {
                need(key, key.default_text, element_);
            }
        }
    }

    void choices(const Node& node, const TableSchema& schema) {
        if (schema.one_of.empty()) { return; }
        const Member* first = nullptr;
        for (const Member& member : node.table()->members) {
            if (std::ranges::find(schema.one_of, member.key) == schema.one_of.end()) { continue; }
            if (first == nullptr) {
                first = &member;
                continue;
            }
            auto& diagnostic =
                error(codes::one_of, member.value, member.key_span,
                      fmt::format("`{}` and `{}` exclude each other{}", first->key, member.key, inside()));
            diagnostic.notes.push_back({first->key_span, fmt::format("`{}` is here", first->key)});
            diagnostic.help = fmt::format("keep one of {}", list_or(schema.one_of));
            return;
        }
        const bool misspelt = std::ranges::any_of(
            node.table()->members, [&](const Member& member) { return schema.find(member.key) == nullptr; });
        if (first == nullptr && schema.one_required && !misspelt) {
            error(codes::missing_key, node, element_, fmt::format("[{}] says nothing", path())).help =
                fmt::format("it takes {}{}", schema.one_of.size() == 1 ? "" : "one of ", list_or(schema.one_of));
        }
    }

    Diagnostic& wrong_type(const Member& member, std::string_view expected) {
        return error(codes::wrong_type, member.value, member.value.span,
                     fmt::format("`{}` is {}, not {}", path(), expected, type_name(member.value)));
    }

    void one_table(const Member& member, const KeySchema& key, void* object) {
        const auto shorthand = key.table->shorthand;
        if (shorthand != nullptr && member.value.string() != nullptr) {
            auto value = values_.read(key, member.value);
            if (!value) { return; }
            void* child = key.slot.child(object, {member.key, member.key_span}, member.key_span);
            shorthand(std::get<std::string>(value->data), member.value.span, child);
            return;
        }
        if (member.value.table() == nullptr) {
            auto& diagnostic = wrong_type(member, shorthand == nullptr ? "a table" : "a string or a table");
            diagnostic.help = table_help(key, member.value);
            return;
        }
        needs(key, member.key_span);
        const Span outer = std::exchange(element_, member.key_span);
        void* child = key.slot.child(object, {member.key, member.key_span}, member.key_span);
        const bool is_vm = key.table == &schema_of<VmConfig>();
        if (is_vm) { enter(static_cast<VmConfig*>(child), "NAME", 1); }
        keys(member.value, *key.table, child);
        if (is_vm) { leave(); }
        element_ = outer;
    }

    /// The key that the value was probably meant for.
    static std::string table_help(const KeySchema& table, const Node& node) {
        for (const KeySchema& key : table.table->keys) {
            const bool fits = (std::holds_alternative<std::int64_t>(node.value) && key.form == Form::integer) ||
                              (node.string() != nullptr && (key.form == Form::path || key.form == Form::http)) ||
                              (std::holds_alternative<bool>(node.value) && key.form == Form::boolean);
            if (fits && table.table != &schema_of<VmConfig>()) {
                return fmt::format("did you mean {}.{} = ...?", table.name, key.name);
            }
        }
        return {};
    }

    void tables(const Member& member, const KeySchema& key, void* object) {
        constexpr std::size_t most = 1000;
        const Array* array = member.value.array();
        if (array == nullptr) {
            wrong_type(member, "an array of tables").help = fmt::format("begin each with [[{}]]", path());
            return;
        }
        if (array->items.size() > most) {
            error(codes::too_many, member.value, member.key_span,
                  fmt::format("`{}` has {} elements, {} at most", path(), array->items.size(), most));
            return;
        }
        key.slot.reserve(object, array->items.size());
        for (const Node& item : array->items) {
            if (item.table() == nullptr) {
                error(codes::wrong_type, item, item.span,
                      fmt::format("a {} is a table, not {}", key.table->noun, type_name(item)));
                continue;
            }
            const Span outer = std::exchange(element_, item.span);
            keys(item, *key.table, key.slot.child(object, {}, item.span));
            element_ = outer;
        }
    }

    void named_tables(const Member& member, const KeySchema& key, void* object) {
        const Table* table = member.value.table();
        if (table == nullptr) {
            wrong_type(member, "a table of named tables");
            return;
        }
        if (!table->members.empty()) { needs(key, member.key_span); }
        key.slot.reserve(object, std::min(table->members.size(), max_vms));
        for (const Member& element : table->members) {
            path_.push_back(element.key);
            if (key.table == &schema_of<VmConfig>()) {
                machine(element, key, object);
            } else {
                named_element(element, key, object);
            }
            path_.pop_back();
        }
    }

    void named_element(const Member& element, const KeySchema& key, void* object) {
        if (element.value.is_false()) { return; }
        if (element.value.table() == nullptr) {
            if (key.secret) {
                diagnostics_.mask(element.value.span);
                auto& diagnostic = error(codes::bare_secret, element.value, element.value.span,
                                         fmt::format("`{}` is a secret in the open", path()));
                diagnostic.help = "say where it comes from: { file = ... }, { env = ... } or { command = [...] }";
                return;
            }
            error(codes::wrong_type, element.value, element.value.span,
                  fmt::format("`{}` is a table, not {}", path(), type_name(element.value)));
            return;
        }
        values_.check_name(element.value, element.key, element.key_span, key.table->noun);
        const Span outer = std::exchange(element_, element.key_span);
        keys(element.value, *key.table, key.slot.child(object, {element.key, element.key_span}, element.key_span));
        element_ = outer;
    }

    /// [vm.NAME] and [template.NAME]; the former as often as `count` says.
    void machine(const Member& element, const KeySchema& key, void* object) {
        if (element.value.is_false()) { return; }
        if (element.value.table() == nullptr) {
            error(codes::wrong_type, element.value, element.value.span,
                  fmt::format("`{}` is a table, not {}", path(), type_name(element.value)));
            return;
        }
        if (!values_.check_name(element.value, element.key, element.key_span, key.name == "vm" ? "VM" : key.name)) {
            return;
        }
        std::int64_t count = 0; // none: the name as it is
        if (const Member* said = element.value.table()->find("count"); said != nullptr && key.name == "vm") {
            if (const auto* number = std::get_if<std::int64_t>(&said->value.value)) {
                count = std::clamp<std::int64_t>(*number, 0, schema_of<VmConfig>().find("count")->max);
            }
        }
        if (count > 1) {
            values_copied_ += count_values(element.value) * static_cast<std::size_t>(count);
            if (values_copied_ > max_values) {
                diagnostics_.error(codes::too_many, element.key_span,
                                   fmt::format("with `count` there are more than {} values", max_values));
                return;
            }
        }
        for (std::int64_t index = 1; index <= std::max<std::int64_t>(count, 1); ++index) {
            if (key.name == "vm" && ++machines_ > max_vms) {
                if (machines_ == max_vms + 1) {
                    diagnostics_.error(codes::too_many, element.key_span,
                                       fmt::format("the project has more than {} VMs", max_vms));
                }
                return;
            }
            std::string name = count == 0 ? element.key : fmt::format("{}-{}", element.key, index);
            if (count != 0 && !values_.check_name(element.value, name, element.key_span, "VM")) { return; }
            if (key.name == "vm" && !names_.insert(name).second) {
                error(codes::duplicate_name, element.value, element.key_span,
                      fmt::format("there are two VMs `{}`", name))
                    .help = "`count` makes NAME-1, NAME-2 and so on; rename one of them";
            }
            auto* vm = static_cast<VmConfig*>(key.slot.child(object, {name, element.key_span}, element.key_span));
            if (count != 0) { vm->group = element.key; }
            enter(vm, name, index);
            machine_ = key.name == "vm";
            const Span outer = std::exchange(element_, element.key_span);
            keys(element.value, *key.table, vm);
            element_ = outer;
            leave();
        }
    }

    void enter(VmConfig* vm, std::string name, std::int64_t index) {
        vm_ = vm;
        values_.set_instance(std::move(name), index);
    }
    void leave() {
        vm_ = nullptr;
        machine_ = false;
        values_.set_instance({}, 0);
    }

    void collection(const Member& member, const KeySchema& key, void* object) {
        constexpr std::size_t most = 1000;
        const std::size_t size = member.value.table() != nullptr   ? member.value.table()->members.size()
                                 : member.value.array() != nullptr ? member.value.array()->items.size()
                                                                   : 0;
        if (size > most) {
            error(codes::too_many, member.value, member.key_span,
                  fmt::format("`{}` has {} elements, {} at most", path(), size, most));
            return;
        }
        if (const Table* table = member.value.table()) {
            std::unordered_set<std::string> taken; // for those without a name, which only merging leaves here
            const bool all_named =
                std::ranges::none_of(table->members, [](const Member& element) { return element.key.empty(); });
            if (!all_named) {
                for (const Member& element : table->members) { taken.insert(element.key); }
            }
            key.slot.reserve(object, table->members.size());
            for (const Member& element : table->members) {
                this->element(element.value, element.key, element.key_span, key, object, taken);
            }
            return;
        }
        const Array* array = member.value.array();
        if (array == nullptr) {
            auto& diagnostic = wrong_type(member, "a table of named tables, or an array of tables");
            if (member.value.string() != nullptr && key.table->shorthand != nullptr) {
                diagnostic.help = fmt::format("write {} = [\"{}\"]", key.name, printable(*member.value.string()));
            }
            return;
        }
        std::unordered_set<std::string> taken;
        for (const Node& item : array->items) {
            if (is_inherited_marker(item)) { continue; }
            std::string name;
            Span span = item.span;
            if (const Table* table = item.table()) {
                if (const Member* said = table->find("name")) {
                    const std::string* text = said->value.string();
                    if (text == nullptr) {
                        error(codes::wrong_type, said->value, said->value.span,
                              fmt::format("`name` is a string, not {}", type_name(said->value)));
                        continue;
                    }
                    name = *text;
                    span = said->value.span;
                    if (!taken.insert(name).second) {
                        error(codes::duplicate_name, said->value, span,
                              fmt::format("there are two {}s `{}`", key.table->noun, name));
                        continue;
                    }
                }
            }
            element(item, name, span, key, object, taken);
        }
    }

    /// One volume, share, ... `name` is empty when it has none.
    void element(const Node& node, const std::string& name, Span span, const KeySchema& key, void* object,
                 std::unordered_set<std::string>& taken) {
        const TableSchema& schema = *key.table;
        if (node.is_false()) { // removed, by merging
            if (!node.replaces && node.route == 0 && machine_) {
                error(codes::nothing_to_remove, node, span,
                      fmt::format("there is no inherited {} `{}` to remove", schema.noun, printable(name)));
            }
            return;
        }
        const std::string* text = node.string();
        if (node.table() == nullptr && (text == nullptr || schema.shorthand == nullptr)) {
            error(codes::wrong_type, node, node.span,
                  fmt::format("a {} is a table{}, not {}", schema.noun,
                              schema.shorthand == nullptr ? "" : " or a string", type_name(node)));
            return;
        }
        if (!name.empty()) { values_.check_name(node, name, span, schema.noun); }
        if (node.route != 0 && vm_ != nullptr) { vm_->inherited.push_back({span, node.route}); }
        std::string made = name;
        if (made.empty()) {
            made = unique(element_name(node, schema), taken);
            if (made.empty()) {
                error(codes::unnamed, node, node.span, fmt::format("this {} has no name", schema.noun)).help =
                    fmt::format("write {}.NAME = {{ ... }}, or give it a `name`", key.name);
                return;
            }
        }
        const Span outer = std::exchange(element_, span);
        void* child = key.slot.child(object, {std::move(made), span}, span);
        if (text != nullptr) {
            const std::string problem = schema.shorthand(*text, node.span, child);
            if (!problem.empty()) { error(codes::bad_forward, node, node.span, problem); }
            auto& forward = *static_cast<ForwardConfig*>(child);
            if (vm_ != nullptr) { need(*schema.find("proto"), forward.proto.value, node.span); }
            values_.count_up(forward, node);
        } else {
            path_.push_back(name.empty() ? schema.noun : std::string_view(name));
            keys(node, schema, child);
            path_.pop_back();
        }
        element_ = outer;
    }

    /// A name for an element without one, from what it is.
    static std::string element_name(const Node& node, const TableSchema& schema) {
        if (const std::string* text = node.string()) { return forward_name(*text); }
        for (const std::string_view key : schema.name_from) {
            const Member* member = node.table()->find(key);
            if (member == nullptr) { continue; }
            if (const std::string* text = member->value.string()) {
                std::string name = slug(*text);
                if (!name.empty()) { return name; }
            }
            if (const Table* end = member->value.table()) {
                const Member* port = end->find("port");
                const auto* number = port == nullptr ? nullptr : std::get_if<std::int64_t>(&port->value.value);
                const Member* proto = node.table()->find("proto");
                const bool udp =
                    proto != nullptr && proto->value.string() != nullptr && *proto->value.string() == "udp";
                if (number != nullptr) { return fmt::format("{}{}", *number, udp ? "-udp" : ""); }
            }
        }
        return std::string(schema.name_from.empty() || schema.noun != "interface" ? "" : "user");
    }

    static std::string unique(std::string name, std::unordered_set<std::string>& taken) {
        if (name.empty()) { return name; }
        std::string candidate = name;
        for (int i = 2; !taken.insert(candidate).second; ++i) { candidate = fmt::format("{}-{}", name, i); }
        return candidate;
    }

    bool hypervisor_table(const Member& member, const TableSchema& schema, void* object) {
        if (&schema != &schema_of<VmConfig>()) { return false; }
        const auto traits = std::ranges::find(traits_, member.key, &Traits::name);
        if (traits == traits_.end()) { return false; }
        path_.push_back(member.key);
        if (member.value.table() == nullptr) {
            error(codes::wrong_type, member.value, member.value.span,
                  fmt::format("`{}` is a table, not {}", path(), type_name(member.value)));
        } else {
            auto& hypervisor = static_cast<VmConfig*>(object)->hypervisors.emplace_back(prototype<HypervisorConfig>());
            hypervisor.name = {member.key, member.key_span};
            hypervisor.span = member.key_span;
            const TableSchema& common = schema_of<HypervisorConfig>();
            for (const Member& inner : member.value.table()->members) {
                if (const KeySchema* key = common.find(inner.key)) {
                    path_.push_back(inner.key);
                    this->key(inner, *key, &hypervisor);
                    path_.pop_back();
                    continue;
                }
                const auto option = std::ranges::find(traits->options, inner.key, &Traits::Option::name);
                if (option == traits->options.end()) {
                    std::vector<std::string_view> known{"program", "extra-args"};
                    for (const auto& each : traits->options) { known.push_back(each.name); }
                    unknown(inner, known);
                    continue;
                }
                if (auto text = values_.scalar_text(inner.value)) {
                    hypervisor.options.emplace_back(Located<std::string>{inner.key, inner.key_span},
                                                    Located<std::string>{std::move(*text), inner.value.span});
                }
            }
        }
        path_.pop_back();
        return true;
    }

    static bool is_element(const TableSchema& schema) {
        return std::ranges::any_of(schema_of<VmConfig>().keys, [&](const KeySchema& key) {
            return key.form == Form::collection && key.table == &schema;
        });
    }

    void unknown(const Member& member, const TableSchema& schema) {
        std::vector<std::string_view> known;
        known.reserve(schema.keys.size() + traits_.size());
        for (const KeySchema& key : schema.keys) { known.push_back(key.name); }
        const bool is_vm = &schema == &schema_of<VmConfig>();
        if (is_vm) {
            for (const Traits& traits : traits_) { known.push_back(traits.name); }
        }
        if (member.key == "name" && is_element(schema)) { return; } // `collection` read it
        Diagnostic& diagnostic = unknown(member, known);
        if (diagnostic.help.empty() && !is_vm && schema_of<VmConfig>().find(member.key) != nullptr) {
            diagnostic.help =
                path_.size() >= 2 && path_.front() == "vm"
                    ? fmt::format("`{}` is a key of [vm.{}]; TOML gives what follows a [header] to that header, so "
                                  "write it above",
                                  member.key, path_[1])
                    : fmt::format("`{}` is a key of a [vm.NAME] table", member.key);
        }
    }

    Diagnostic& unknown(const Member& member, std::span<const std::string_view> known) {
        Diagnostic& diagnostic = error(codes::unknown_key, member.value, member.key_span,
                                       fmt::format("unknown key `{}`{}", printable(member.key), inside()));
        // Of a flood of unknown keys, nobody reads the last.
        const std::string_view meant = diagnostics_.left_out() == 0 ? nearest(member.key, known) : std::string_view{};
        if (!meant.empty()) { diagnostic.help = fmt::format("did you mean `{}`?", meant); }
        return diagnostic;
    }

    Values values_;
    std::span<const Traits> traits_;
    Diagnostics& diagnostics_;
    std::vector<std::string_view> path_;
    Span element_;           ///< of the innermost named thing, for what has no place of its own
    VmConfig* vm_ = nullptr; ///< the machine that is being read
    bool machine_ = false;   ///< it is a [vm.NAME], with all that it inherits
    std::size_t machines_ = 0;
    std::size_t values_copied_ = 0;
    std::unordered_set<std::string> names_;
};

} // namespace

void decode(const Node& table, const TableSchema& schema, void* object, const Sources& sources,
            std::span<const Traits> traits, Diagnostics& diagnostics) {
    Decoder(sources, traits, diagnostics, {}).top(table, schema, object);
}

Config decode(const Merged& merged, const Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics) {
    Config config = prototype<Config>();
    Decoder(sources, traits, diagnostics, merged.routes).top(merged.root, schema_of<Config>(), &config);
    config.routes = merged.routes;
    if (config.version.span.known() && config.version.value != 1) {
        diagnostics
            .error(codes::bad_version, config.version.span,
                   fmt::format("version {} of the language is not known", config.version.value))
            .help = "this microvmc reads version 1";
    }
    if (config.vms.empty() && !diagnostics.has_errors()) {
        diagnostics.error(codes::no_vms, {merged.file, {}, {}}, "there is no [vm.NAME] in it").help =
            "a machine is a table: [vm.hello]";
    }
    return config;
}

} // namespace microvmc
