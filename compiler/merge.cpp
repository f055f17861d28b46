#include "compiler/merge.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/schema.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

namespace microvmc {

namespace {

/// Members by key; for big tables, where a search each would be quadratic.
class Index {
public:
    explicit Index(const Table& table) : table_(table) {
        if (table.members.size() > 16) {
            for (std::size_t i = 0; i < table.members.size(); ++i) { by_key_.emplace(table.members[i].key, i); }
        }
    }
    [[nodiscard]] std::size_t find(const std::string& key) const {
        if (!by_key_.empty()) {
            const auto found = by_key_.find(key);
            return found == by_key_.end() ? std::string::npos : found->second;
        }
        const auto found = std::ranges::find(table_.members, key, &Member::key);
        return found == table_.members.end() ? std::string::npos
                                             : static_cast<std::size_t>(found - table_.members.begin());
    }

private:
    const Table& table_;
    std::unordered_map<std::string_view, std::size_t> by_key_;
};

bool chooses(const Table& table, const TableSchema& schema) {
    return std::ranges::any_of(schema.one_of, [&](std::string_view key) { return table.find(key) != nullptr; });
}

/// The key stays, since an Index looks at it.
Member taken(Member& member) {
    return {member.key, member.key_span, std::move(member.value)};
}

void merge_values(Node& nearer, const Node& farther, const KeySchema& key);

/// By name; elements without one are kept side by side.
void merge_named(Node& nearer, const Node& farther, const TableSchema* schema) {
    Table& over = *nearer.table();
    const Index index(over);
    std::vector<bool> used(over.members.size());
    std::vector<Member> members;
    members.reserve(over.members.size() + farther.table()->members.size());
    for (const Member& below : farther.table()->members) {
        const std::size_t at = below.key.empty() ? std::string::npos : index.find(below.key);
        if (at == std::string::npos) {
            members.push_back(below);
            continue;
        }
        used[at] = true;
        Member above = taken(over.members[at]);
        if (above.value.is_false() || below.value.is_false()) {
            above.value.replaces = true;
        } else if (schema != nullptr && above.value.table() != nullptr && below.value.table() != nullptr &&
                   !above.value.replaces) {
            merge_tables(above.value, below.value, *schema);
            above.value.replaces = below.value.replaces;
        }
        members.push_back(std::move(above));
    }
    for (std::size_t i = 0; i < over.members.size(); ++i) {
        if (!used[i]) { members.push_back(std::move(over.members[i])); }
    }
    over.members = std::move(members);
}

/// The first `"..."` in the nearer array gives way to the farther one's elements; decoding refuses a second.
void splice(Node& nearer, const Node& farther) {
    Array* over = nearer.array();
    if (over == nullptr) { return; }
    const auto marker = std::ranges::find_if(over->items, is_inherited_marker);
    if (marker == over->items.end()) { return; }
    std::vector<Node> items;
    for (Node& item : over->items) {
        if (&item != &*marker) {
            items.push_back(std::move(item));
        } else if (const Array* below = farther.array()) {
            items.insert(items.end(), below->items.begin(), below->items.end());
        } else {
            items.push_back(farther);
        }
    }
    over->items = std::move(items);
}

void merge_values(Node& nearer, const Node& farther, const KeySchema& key) {
    const bool tables = nearer.table() != nullptr && farther.table() != nullptr;
    switch (key.form) {
    case Form::table:
        if (tables && !nearer.replaces) { merge_tables(nearer, farther, *key.table); }
        return;
    case Form::named_tables:
        if (tables) { merge_named(nearer, farther, key.table); }
        return;
    case Form::string_table:
        if (tables) { merge_named(nearer, farther, nullptr); }
        return;
    case Form::collection: {
        Node below = farther;
        as_table(nearer);
        as_table(below);
        if (nearer.table() != nullptr && below.table() != nullptr) { merge_named(nearer, below, key.table); }
        return;
    }
    case Form::names:
    case Form::hypervisors:
    case Form::globs:
    case Form::strings:
    case Form::texts:
    case Form::arguments:
    case Form::argument_lists:
    case Form::parameters:
    case Form::addresses: splice(nearer, farther); return;
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
    case Form::path:
    case Form::path_or_word:
    case Form::guest_path:
    case Form::mac:
    case Form::address:
    case Form::http:
    case Form::text_or_number:
    case Form::tables:
    case Form::custom: return;
    }
}

void set_route(Node& node, std::uint32_t route) {
    node.route = route;
    if (Table* table = node.table()) {
        for (Member& member : table->members) { set_route(member.value, route); }
    }
    if (Array* array = node.array()) {
        for (Node& item : array->items) { set_route(item, route); }
    }
}

/// Puts [defaults] and the templates below each machine.
class Inheritance {
public:
    Inheritance(Merged& merged, Diagnostics& diagnostics) : merged_(merged), diagnostics_(diagnostics) {}

    void apply() {
        Table& root = *merged_.root.table();
        if (const Member* defaults = root.find("defaults"); defaults != nullptr && defaults->value.table() != nullptr) {
            defaults_ = &defaults->value;
            if (const Member* extends = defaults_->table()->find("extends")) {
                diagnostics_.error(codes::conflicting_keys, extends->key_span, "[defaults] extends nothing").help =
                    "write the keys themselves, or let each VM say `extends`";
            }
        }
        if (const Member* templates = root.find("template"); templates != nullptr) {
            if (const Table* table = templates->value.table()) {
                for (const Member& each : table->members) {
                    if (each.value.table() != nullptr) {
                        templates_.emplace(each.key, Template{&each, {}, 0, State::raw});
                    }
                }
            }
        }
        for (auto& [name, each] : templates_) { resolve(each); }
        Node defaults;
        std::size_t defaults_values = 0;
        if (defaults_ != nullptr) {
            defaults_values = count_values(*defaults_);
            defaults = *defaults_;
            merged_.routes.push_back({});
            set_route(defaults, static_cast<std::uint32_t>(merged_.routes.size()));
        }
        Member* machines = root.find("vm");
        if (machines == nullptr || machines->value.table() == nullptr) { return; }
        for (Member& machine : machines->value.table()->members) {
            if (machine.value.table() == nullptr) { continue; }
            extend(machine);
            if (defaults_ != nullptr && afford(defaults_values, machine.key_span)) {
                merge_tables(machine.value, defaults, schema_of<VmConfig>());
            }
        }
    }

private:
    enum class State { raw, going_on, done };
    struct Template {
        const Member* written = nullptr;
        Node whole; ///< with what it extends
        std::size_t values = 0;
        State state = State::raw;
    };

    /// False: with that much more to copy it would be too much.
    bool afford(std::size_t values, const Span& span) {
        const bool before = copied_ <= max_values;
        copied_ += values;
        if (copied_ <= max_values) { return true; }
        if (before) {
            diagnostics_.error(codes::too_many, span,
                               fmt::format("with what is inherited there are more than {} values", max_values));
        }
        return false;
    }

    void resolve(Template& each) {
        if (each.state != State::raw) { return; }
        each.state = State::going_on;
        Member copy = *each.written;
        extend(copy);
        each.whole = std::move(copy.value);
        // What it extends is in it now, and how many there are is each machine's own business.
        std::erase_if(each.whole.table()->members, [](const Member& member) { return member.key == "extends"; });
        each.values = count_values(each.whole);
        each.state = State::done;
    }

    void extend(Member& user) {
        const Member* extends = user.value.table()->find("extends");
        if (extends == nullptr) { return; }
        std::vector<const Node*> names;
        if (extends->value.string() != nullptr) { names.push_back(&extends->value); }
        if (const Array* array = extends->value.array()) {
            for (const Node& item : array->items) {
                if (item.string() != nullptr && !is_inherited_marker(item)) { names.push_back(&item); }
            }
        }
        std::vector<std::pair<const Template*, Span>> found;
        for (const Node* name : names) {
            const auto at = templates_.find(*name->string());
            if (at == templates_.end()) {
                std::vector<std::string_view> known;
                for (const auto& [key, each] : templates_) { known.push_back(key); }
                std::ranges::sort(known);
                auto& diagnostic =
                    diagnostics_.error(codes::unknown_template, name->span,
                                       fmt::format("there is no template `{}`", printable(*name->string())));
                const std::string_view meant = nearest(*name->string(), known);
                if (!meant.empty()) { diagnostic.help = fmt::format("did you mean `{}`?", meant); }
                continue;
            }
            if (at->second.state == State::going_on) {
                diagnostics_
                    .error(codes::extends_cycle, name->span,
                           fmt::format("template `{}` extends itself", *name->string()))
                    .notes.push_back({at->second.written->key_span, "which is here"});
                continue;
            }
            resolve(at->second);
            found.emplace_back(&at->second, name->span);
        }
        // Later ones win, so they are laid under first.
        for (auto each = found.rbegin(); each != found.rend(); ++each) {
            if (!afford(each->first->values, each->second)) { return; }
            Node below = each->first->whole;
            merged_.routes.push_back({each->second, fmt::format("inherited by `{}` here", user.key)});
            set_route(below, static_cast<std::uint32_t>(merged_.routes.size()));
            merge_tables(user.value, below, schema_of<VmConfig>());
        }
    }

    Merged& merged_;
    Diagnostics& diagnostics_;
    const Node* defaults_ = nullptr;
    std::size_t copied_ = 0;
    std::unordered_map<std::string, Template> templates_;
};

} // namespace

void as_table(Node& node) {
    Array* array = node.array();
    if (array == nullptr) { return; }
    Table table;
    table.members.reserve(array->items.size());
    for (Node& item : array->items) {
        if (is_inherited_marker(item)) { continue; }
        Member& member = table.members.emplace_back();
        member.key_span = item.span;
        if (Table* inner = item.table()) {
            const Member* name = inner->find("name");
            if (name != nullptr && name->value.string() != nullptr) {
                member.key = *name->value.string();
                member.key_span = name->value.span;
                std::erase_if(inner->members, [](const Member& each) { return each.key == "name"; });
            }
        }
        member.value = std::move(item);
    }
    node.value = std::move(table);
}

void merge_tables(Node& nearer, const Node& farther, const TableSchema& schema) {
    Table& over = *nearer.table();
    if (chooses(over, schema)) { return; } // a nearer choice replaces the whole table
    const Index index(over);
    std::vector<bool> used(over.members.size());
    std::vector<Member> members;
    members.reserve(over.members.size() + farther.table()->members.size());
    for (const Member& below : farther.table()->members) {
        const std::size_t at = index.find(below.key);
        if (at == std::string::npos) {
            members.push_back(below);
            continue;
        }
        used[at] = true;
        Member above = taken(over.members[at]);
        if (const KeySchema* key = schema.find(below.key)) {
            merge_values(above.value, below.value, *key);
        } else if (above.value.table() != nullptr && below.value.table() != nullptr) {
            // The only tables that a schema doesn't list are the hypervisors'.
            merge_tables(above.value, below.value, schema_of<HypervisorConfig>());
        }
        members.push_back(std::move(above));
    }
    for (std::size_t i = 0; i < over.members.size(); ++i) {
        if (!used[i]) { members.push_back(std::move(over.members[i])); }
    }
    over.members = std::move(members);
}

Merged merge(std::vector<Document> documents, Diagnostics& diagnostics) {
    Merged merged;
    if (documents.empty()) {
        merged.root.value.emplace<Table>();
        return merged;
    }
    merged.file = documents.back().file;
    merged.root = std::move(documents.front().root);
    for (std::size_t i = 1; i < documents.size(); ++i) {
        Node nearer = std::move(documents[i].root);
        merge_tables(nearer, merged.root, schema_of<Config>());
        merged.root = std::move(nearer);
    }
    Inheritance(merged, diagnostics).apply();
    return merged;
}

} // namespace microvmc
