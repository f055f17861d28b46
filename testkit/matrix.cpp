#include "testkit/matrix.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/text.h"
#include "compiler/values.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <unordered_map>

namespace microvmc::testkit {

using namespace std::string_view_literals;

namespace {

constexpr std::size_t longest_value = 200; // it is in names and paths
constexpr std::size_t most_excludes = 1000;
constexpr std::size_t most_listed = 100;

// What `exclude` knows of a target. An axis can't be called so.
constexpr std::array target_keys = {"hypervisor"sv, "accel"sv, "interpreted"sv};
// These mean something else already.
constexpr std::array taken_names = {"name"sv,       "index"sv, "vm"sv,         "scratch"sv,
                                    "hypervisor"sv, "accel"sv, "interpreted"sv};

/// A scalar as text; nothing for tables, arrays and dates.
std::optional<std::string> scalar_text(const Node& node) {
    if (const std::string* text = node.string()) { return *text; }
    if (const auto* whole = std::get_if<std::int64_t>(&node.value)) { return std::to_string(*whole); }
    if (const double* real = std::get_if<double>(&node.value)) { return fmt::format("{}", *real); }
    if (const bool* flag = std::get_if<bool>(&node.value)) { return *flag ? "true" : "false"; }
    return std::nullopt;
}

class Reader {
public:
    Reader(std::span<const Traits> traits, Diagnostics& diagnostics) : traits_(traits), diagnostics_(diagnostics) {}

    Matrix read(const Table& root) {
        if (const Member* matrix = root.find("matrix")) { axes(*matrix); }
        if (const Member* exclude = root.find("exclude")) { excludes(*exclude); }
        return std::move(matrix_);
    }

private:
    void axes(const Member& member) {
        const Table* table = member.value.table();
        if (table == nullptr) {
            diagnostics_
                .error(codes::wrong_type, member.value.span,
                       fmt::format("`matrix` is a table of axes, not {}", type_name(member.value)))
                .help = "an axis is written NAME = [\"one\", \"other\"]";
            return;
        }
        std::size_t product = 1;
        for (const Member& each : table->members) {
            if (!variable_name(each)) { continue; }
            Axis& axis = matrix_.axes.emplace_back();
            axis.name = each.key;
            axis.span = each.key_span;
            texts_.clear();
            if (each.value.array() != nullptr) {
                values(each, axis);
            } else if (each.value.table() != nullptr) {
                fragments(each, axis);
            } else {
                diagnostics_
                    .error(codes::bad_axis, each.value.span,
                           fmt::format("the axis `{}` is an array of values or a table of fragments, not {}", each.key,
                                       type_name(each.value)))
                    .help = scalar_text(each.value) ? "in brackets: an axis of one value is allowed" : "";
            }
            if (axis.values.empty()) { continue; }
            product *= axis.values.size();
            if (product > max_cases) {
                diagnostics_.error(codes::too_many, each.key_span,
                                   fmt::format("with this axis the matrix has more than {} points", max_cases));
                return;
            }
        }
    }

    bool variable_name(const Member& axis) {
        const std::string& name = axis.key;
        if (std::ranges::find(taken_names, name) != taken_names.end()) {
            diagnostics_.error(codes::bad_axis, axis.key_span,
                               fmt::format("`{}` has a meaning already and can't be an axis", name));
            return false;
        }
        std::string dashed = name;
        std::ranges::replace(dashed, '_', '-');
        if (is_name(dashed) && name.find('-') == std::string::npos) { return true; }
        auto& diagnostic = diagnostics_.error(codes::bad_axis, axis.key_span,
                                              fmt::format("`{}` is no name of an axis", printable(name)));
        std::ranges::replace(dashed, '-', '_');
        diagnostic.help = is_name(name) ? fmt::format("it becomes an environment variable: write {}", dashed)
                                        : "a name begins with a letter and has at most 31 of a-z, 0-9 and _";
        return false;
    }

    void values(const Member& member, Axis& axis) {
        for (const Node& item : member.value.array()->items) {
            std::optional<std::string> text = scalar_text(item);
            if (!text) {
                diagnostics_
                    .error(codes::bad_axis, item.span,
                           fmt::format("a value of the axis `{}` is a string, a number or a boolean, not {}", axis.name,
                                       type_name(item)))
                    .help =
                    item.table() != nullptr ? fmt::format("fragments have names: [matrix.{}.NAME]", axis.name) : "";
                continue;
            }
            add(axis, {std::move(*text), item, std::nullopt, item.span});
        }
        if (member.value.array()->items.empty()) { empty(member, "value"); }
    }

    void fragments(const Member& member, Axis& axis) {
        for (const Member& each : member.value.table()->members) {
            if (each.value.table() == nullptr) {
                diagnostics_
                    .error(codes::bad_axis, each.value.span,
                           fmt::format("the fragment `{}` of the axis `{}` is a table, not {}", printable(each.key),
                                       axis.name, type_name(each.value)))
                    .help = fmt::format("an axis of plain values is an array: {} = [...]", axis.name);
                continue;
            }
            Node name;
            name.span = each.key_span;
            name.value = each.key;
            add(axis, {each.key, std::move(name), each.value, each.key_span});
        }
        if (member.value.table()->members.empty()) { empty(member, "fragment"); }
    }

    void empty(const Member& member, std::string_view noun) {
        diagnostics_.error(codes::bad_axis, member.value.span,
                           fmt::format("the axis `{}` has no {}", member.key, noun));
    }

    void add(Axis& axis, AxisValue value) {
        if (value.text.size() > longest_value || value.text.find('\0') != std::string::npos) {
            diagnostics_.error(codes::bad_axis, value.span,
                               value.text.size() > longest_value
                                   ? fmt::format("a value of an axis has at most {} bytes", longest_value)
                                   : "a value of an axis has no NUL character");
            return;
        }
        const auto [same, fresh] = texts_.emplace(value.text, value.span);
        if (fresh) {
            if (axis.values.size() <= max_cases) { axis.values.push_back(std::move(value)); }
            return;
        }
        diagnostics_
            .error(codes::bad_axis, value.span,
                   fmt::format("the axis `{}` has `{}` twice", axis.name, printable(value.text)))
            .notes.push_back({same->second, "the other is here"});
    }

    void excludes(const Member& member) {
        const Array* array = member.value.array();
        if (array == nullptr) {
            diagnostics_
                .error(codes::wrong_type, member.value.span,
                       fmt::format("`exclude` is an array of tables, not {}", type_name(member.value)))
                .help = member.value.table() != nullptr ? "in brackets: exclude = [{ ... }]" : "";
            return;
        }
        if (array->items.size() > most_excludes) {
            diagnostics_.error(codes::too_many, member.key_span,
                               fmt::format("`exclude` has more than {} entries", most_excludes));
            return;
        }
        for (const Node& item : array->items) {
            const Table* table = item.table();
            if (table == nullptr || table->members.empty()) {
                diagnostics_.error(codes::wrong_type, item.span,
                                   table != nullptr
                                       ? "this would leave out everything"
                                       : fmt::format("an element of `exclude` is a table, not {}", type_name(item)));
                continue;
            }
            exclude(*table);
        }
    }

    void exclude(const Table& table) {
        Exclude made;
        made.targets.emplace_back();
        bool by_target = false;
        for (const Member& member : table.members) {
            const std::vector<const Node*> values = listed(member);
            if (std::ranges::find(target_keys, member.key) != target_keys.end()) {
                by_target = true;
                std::vector<Exclusion> all;
                for (const Node* value : values) {
                    for (Exclusion each : made.targets) {
                        if (!target(member.key, *value, each)) { continue; }
                        if (std::ranges::find(all, each) == all.end()) { all.push_back(std::move(each)); }
                    }
                }
                made.targets = std::move(all);
                continue;
            }
            const auto axis = std::ranges::find(matrix_.axes, member.key, &Axis::name);
            if (axis == matrix_.axes.end()) {
                unknown_axis(member);
                continue;
            }
            std::vector<std::size_t> indexes;
            for (const Node* value : values) { index_of(*axis, *value, indexes); }
            made.axes.emplace_back(static_cast<std::size_t>(axis - matrix_.axes.begin()), std::move(indexes));
        }
        if (!by_target) { made.targets.clear(); }
        matrix_.excludes.push_back(std::move(made));
    }

    std::vector<const Node*> listed(const Member& member) {
        std::vector<const Node*> values;
        if (const Array* array = member.value.array()) {
            for (const Node& item : array->items) { values.push_back(&item); }
            if (values.empty()) {
                diagnostics_.error(codes::out_of_range, member.value.span, fmt::format("`{}` is empty", member.key));
            } else if (values.size() > most_listed) {
                diagnostics_.error(codes::too_many, member.value.span,
                                   fmt::format("`{}` has more than {} values", printable(member.key), most_listed));
                values.clear();
            }
        } else {
            values.push_back(&member.value);
        }
        return values;
    }

    void unknown_axis(const Member& member) {
        auto& diagnostic = diagnostics_.error(codes::unknown_axis, member.key_span,
                                              fmt::format("the matrix has no axis `{}`", printable(member.key)));
        std::vector<std::string_view> known(target_keys.begin(), target_keys.end());
        for (const Axis& axis : matrix_.axes) { known.push_back(axis.name); }
        const std::string_view meant = nearest(member.key, known);
        diagnostic.help =
            meant.empty() ? fmt::format("it takes {}", list_or(known)) : fmt::format("did you mean `{}`?", meant);
    }

    void index_of(const Axis& axis, const Node& value, std::vector<std::size_t>& indexes) {
        const std::optional<std::string> text = scalar_text(value);
        const auto found = text ? std::ranges::find(axis.values, *text, &AxisValue::text) : axis.values.end();
        if (found != axis.values.end()) {
            indexes.push_back(static_cast<std::size_t>(found - axis.values.begin()));
            return;
        }
        std::vector<std::string_view> known;
        for (const AxisValue& each : axis.values) { known.push_back(each.text); }
        unknown_value(axis.name, value, text, known);
    }

    void unknown_value(std::string_view key, const Node& value, const std::optional<std::string>& text,
                       std::span<const std::string_view> known) {
        auto& diagnostic = diagnostics_.error(codes::unknown_value, value.span,
                                              text ? fmt::format("`{}` is no value of `{}`", printable(*text), key)
                                                   : fmt::format("a value of `{}` isn't {}", key, type_name(value)));
        const std::string_view meant = text ? nearest(*text, known) : std::string_view{};
        constexpr std::size_t most = 12;
        const auto shown = known.subspan(0, std::min(known.size(), most));
        diagnostic.help =
            meant.empty() ? fmt::format("it takes {}", list_or(shown)) : fmt::format("did you mean `{}`?", meant);
    }

    bool target(std::string_view key, const Node& value, Exclusion& exclusion) {
        const std::optional<std::string> text = scalar_text(value);
        if (key == "interpreted") {
            if (const bool* flag = std::get_if<bool>(&value.value)) {
                exclusion.interpreted = *flag;
                return true;
            }
            constexpr std::array words = {"true"sv, "false"sv};
            unknown_value(key, value, value.string() == nullptr ? text : std::nullopt, words);
            return false;
        }
        std::vector<std::string_view> known;
        if (key == "hypervisor") {
            for (const Traits& traits : traits_) { known.push_back(traits.name); }
        } else {
            known = {"kvm", "tcg"};
        }
        if (!text || std::ranges::find(known, *text) == known.end()) {
            unknown_value(key, value, text, known);
            return false;
        }
        (key == "hypervisor" ? exclusion.hypervisor : exclusion.accel) = *text;
        return true;
    }

    std::span<const Traits> traits_;
    Diagnostics& diagnostics_;
    Matrix matrix_;
    std::unordered_map<std::string, Span> texts_; ///< of the axis that is being read
};

bool holds(const Exclude& exclude, const Point& point) {
    return std::ranges::all_of(exclude.axes, [&](const auto& said) {
        return std::ranges::find(said.second, point[said.first]) != said.second.end();
    });
}

} // namespace

std::optional<Matrix> read_matrix(const Table& root, std::span<const Traits> traits, Diagnostics& diagnostics) {
    Matrix matrix = Reader(traits, diagnostics).read(root);
    if (diagnostics.has_errors()) { return std::nullopt; }
    return matrix;
}

std::vector<Point> points(const Matrix& matrix) {
    std::vector<Point> all;
    Point point(matrix.axes.size());
    for (;;) {
        const bool excluded = std::ranges::any_of(
            matrix.excludes, [&](const Exclude& each) { return each.targets.empty() && holds(each, point); });
        if (!excluded) { all.push_back(point); }
        std::size_t axis = point.size();
        while (axis > 0 && ++point[axis - 1] == matrix.axes[axis - 1].values.size()) { point[--axis] = 0; }
        if (axis == 0) { return all; }
    }
}

std::vector<Exclusion> not_on(const Matrix& matrix, const Point& point) {
    std::vector<Exclusion> targets;
    for (const Exclude& each : matrix.excludes) {
        if (holds(each, point)) { targets.insert(targets.end(), each.targets.begin(), each.targets.end()); }
    }
    return targets;
}

std::string case_name(const Matrix& matrix, const Point& point) {
    std::string name;
    for (std::size_t i = 0; i < point.size(); ++i) {
        if (i != 0) { name += ','; }
        name += fmt::format("{}={}", matrix.axes[i].name, printable(matrix.axes[i].values[point[i]].text));
    }
    return name;
}

} // namespace microvmc::testkit
