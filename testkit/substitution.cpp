#include "testkit/substitution.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/schema.h"
#include "compiler/text.h"
#include "testkit/references.h"
#include "testkit/scratch.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace microvmc::testkit {

using namespace std::string_view_literals;

bool is_shell(std::string_view program) {
    constexpr std::array shells = {"sh"sv, "bash"sv, "dash"sv, "ash"sv, "ksh"sv, "zsh"sv, "busybox"sv};
    return std::ranges::find(shells, program.substr(program.rfind('/') + 1)) != shells.end();
}

const AxisValue* Substitution::find(std::string_view name) const {
    for (std::size_t i = 0; i < matrix_.axes.size(); ++i) {
        if (matrix_.axes[i].name == name) { return &matrix_.axes[i].values[point_[i]]; }
    }
    return nullptr;
}

std::optional<std::string> Substitution::text_of(std::string_view name) const {
    if (of_machines_ && name == scratch_name) { return std::string(scratch_mark); }
    const AxisValue* axis = find(name);
    return axis == nullptr ? std::nullopt : std::optional(axis->text);
}

std::vector<Note> Substitution::notes(const Span& span) const {
    const auto found = put_.find(span);
    return found == put_.end() ? std::vector<Note>{} : found->second;
}

void Substitution::unknown(const Node& node, std::string_view name, bool closed) {
    if (!closed) {
        diagnostics_.error(codes::unknown_reference, node.span, "a `${` has no `}`");
        return;
    }
    auto& diagnostic = diagnostics_.error(codes::unknown_reference, node.span,
                                          fmt::format("`${{{}}}` is no axis of the matrix", printable(name)));
    std::vector<std::string_view> known;
    for (const Axis& axis : matrix_.axes) { known.push_back(axis.name); }
    const std::string_view meant = nearest(name, known);
    if (!meant.empty()) {
        diagnostic.help = fmt::format("did you mean `${{{}}}`?", meant);
    } else if (is_plan_reference(name)) {
        diagnostic.help = "a machine's plan is known when it is made: only steps refer to it";
    } else if (known.empty()) {
        diagnostic.help = "the spec has no [matrix]";
    } else {
        diagnostic.help = fmt::format("there is {}", list_or(known));
    }
}

void Substitution::value(Node& node, bool strict, bool pattern) {
    const std::string* text = node.string();
    if (text == nullptr || made_ > most_made) { return; }
    const std::vector<Reference> references = find_references(*text);
    if (references.empty()) { return; }
    if (references.size() > max_references) {
        diagnostics_.error(codes::too_many, node.span,
                           fmt::format("there are more than {} references in this text", max_references));
        return;
    }
    std::vector<Note>& notes = put_[node.span];
    for (const Reference& reference : references) {
        const AxisValue* axis = reference.closed ? find(reference.name) : nullptr;
        if (axis != nullptr) {
            const bool known = std::ranges::any_of(notes, [&](const Note& note) { return note.span == axis->span; });
            if (known) { continue; }
            notes.push_back({axis->span, fmt::format("`{}` is `{}` in a case", reference.name, printable(axis->text))});
        } else if (strict && reference.name != "name" && reference.name != "index" &&
                   !(reference.closed && text_of(reference.name))) {
            unknown(node, reference.name, reference.closed);
        }
    }
    const Reference& first = references.front();
    if (first.closed && first.begin == 0 && first.end == text->size()) {
        if (const AxisValue* axis = find(first.name)) {
            node.value = axis->value.value;
            return;
        }
    }
    const Lookup lookup = [this](std::string_view name) { return text_of(name); };
    std::string whole = pattern ? substitute_pattern(*text, lookup) : substitute(*text, lookup);
    made_ += whole.size();
    node.value = std::move(whole);
}

void Substitution::all(Node& node, bool strict, bool pattern) {
    value(node, strict, pattern);
    if (Table* table = node.table()) {
        for (Member& member : table->members) { all(member.value, strict, pattern); }
    }
    if (Array* array = node.array()) {
        for (Node& item : array->items) { all(item, strict, pattern); }
    }
}

void Substitution::by_schema(Node& node, const KeySchema& key) {
    switch (key.form) {
    case Form::table:
        if (node.table() != nullptr) {
            table(node, *key.table);
        } else {
            all(node, true);
        }
        return;
    case Form::named_tables:
    case Form::collection: {
        const auto element = [&](Node& each) {
            if (each.table() != nullptr) {
                table(each, *key.table);
            } else {
                all(each, true);
            }
        };
        if (Table* elements = node.table()) {
            for (Member& member : elements->members) { element(member.value); }
        } else if (Array* items = node.array()) {
            for (Node& item : items->items) { element(item); }
        } else {
            all(node, true);
        }
        return;
    }
    case Form::arguments:
    case Form::argument_lists:
    case Form::string_table: all(node, false); return;
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
    case Form::parameters:
    case Form::mac:
    case Form::addresses:
    case Form::address:
    case Form::http:
    case Form::text_or_number:
    case Form::tables:
    case Form::custom: all(node, true); return;
    }
}

void Substitution::table(Node& node, const TableSchema& schema) {
    for (Member& member : node.table()->members) {
        if (const KeySchema* key = schema.find(member.key)) {
            by_schema(member.value, *key);
        } else {
            all(member.value, false); // a hypervisor's own, or the decoder's to complain of
        }
    }
}

void Substitution::machines(Node& root) {
    of_machines_ = true;
    table(root, schema_of<Config>());
    of_machines_ = false;
}

void Substitution::command(Node& argv) {
    const Array* words = argv.array();
    const std::string* program = words == nullptr || words->items.empty() ? nullptr : words->items.front().string();
    if (program == nullptr || !is_shell(*program)) { all(argv, false); }
}

void Substitution::step(Table& step) {
    for (Member& member : step.members) {
        if (member.key == "guest" || member.key == "apply") { continue; } // a shell's; the machines'
        if (member.key == "host") {
            command(member.value);
            continue;
        }
        if (member.key == "expect" && member.value.table() != nullptr) {
            for (Member& each : member.value.table()->members) { all(each.value, false, each.key == "matches"); }
            continue;
        }
        all(member.value, false, member.key == "capture");
    }
}

void Substitution::spec(Node& root) {
    for (Member& member : root.table()->members) {
        Array* steps = member.value.array();
        if ((member.key == "prepare" || member.key == "cleanup") && steps != nullptr) {
            for (Node& argv : steps->items) { command(argv); }
            continue;
        }
        if (member.key != "step" || steps == nullptr) {
            all(member.value, member.key == "proves");
            continue;
        }
        for (Node& item : steps->items) {
            if (item.table() != nullptr) { step(*item.table()); }
        }
    }
}

} // namespace microvmc::testkit
