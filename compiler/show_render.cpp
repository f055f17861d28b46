#include "compiler/show.h"

#include "compiler/text.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace microvmc {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t widest_aligned = 60; ///< origins of longer lines stand right behind them

std::string key_text(const std::string& key) {
    const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
    return bare ? key : toml_string(key);
}

std::string path_text(const std::vector<std::string>& path) {
    std::string text;
    for (const std::string& part : path) { text += (text.empty() ? "" : ".") + key_text(part); }
    return text;
}

std::string number_text(double number) {
    if (std::isnan(number)) { return "nan"; }
    if (std::isinf(number)) { return number < 0 ? "-inf" : "inf"; }
    return Json(number).dump();
}

std::string value_text(const Json& value) {
    if (value.is_string()) { return toml_string(value.get<std::string>()); }
    if (value.is_number_float()) { return number_text(value.get<double>()); }
    const bool table = value.is_object();
    if (!table && !value.is_array()) { return value.dump(); }
    std::string text;
    for (auto item = value.begin(); item != value.end(); ++item) {
        text += text.empty() ? "" : ", ";
        if (table) { text += key_text(item.key()) + " = "; }
        text += value_text(item.value());
    }
    if (!table) { return '[' + text + ']'; }
    return text.empty() ? "{}" : "{ " + text + " }";
}

std::string origin_text(const ShownOrigin& origin) {
    if (origin.at.line == 0) { return {}; }
    return fmt::format("# {}:{}{}{}", printable(origin.at.file), origin.at.line, origin.from.empty() ? "" : ", from ",
                       origin.from);
}

struct Line {
    std::string text;
    std::string origin;
};

void add_lines(const ShownTable& table, std::vector<Line>& lines) {
    if (!table.kind.empty()) {
        lines.push_back({fmt::format("[{}.{}]", table.kind, key_text(table.name)), origin_text(table.origin)});
    }
    for (const ShownValue& each : table.values) {
        const std::string key = path_text(each.path);
        if (each.elements.empty() || each.elements.size() != each.value.size()) {
            lines.push_back({fmt::format("{} = {}", key, value_text(each.value)), origin_text(each.origin)});
            continue;
        }
        lines.push_back({key + " = [", {}});
        for (std::size_t i = 0; i < each.elements.size(); ++i) {
            lines.push_back({fmt::format("    {},", value_text(each.value[i])), origin_text(each.elements[i])});
        }
        lines.push_back({"]", {}});
    }
}

Json origin_json(const ShownOrigin& origin) {
    Json json = Json::object();
    if (origin.at.line != 0) {
        json["file"] = origin.at.file;
        json["line"] = origin.at.line;
        json["column"] = origin.at.column;
    }
    if (!origin.from.empty()) { json["from"] = origin.from; }
    return json;
}

} // namespace

std::string render_toml(const std::vector<ShownTable>& tables, bool colour) {
    std::string out;
    for (const ShownTable& table : tables) {
        std::vector<Line> lines;
        add_lines(table, lines);
        std::size_t width = 0;
        for (const Line& line : lines) {
            const std::size_t its = display_width(line.text);
            if (its <= widest_aligned && !line.origin.empty()) { width = std::max(width, its); }
        }
        if (!out.empty()) { out += '\n'; }
        for (const Line& line : lines) {
            out += line.text;
            if (!line.origin.empty()) {
                const std::size_t its = display_width(line.text);
                out += std::string(its < width ? width - its + 2 : 2, ' ');
                out += colour ? fmt::format("\x1b[2m{}\x1b[0m", line.origin) : line.origin;
            }
            out += '\n';
        }
    }
    return out;
}

Json render_shown_json(const std::vector<ShownTable>& tables) {
    Json all = Json::array();
    for (const ShownTable& table : tables) {
        Json made = Json::object();
        if (!table.kind.empty()) {
            made["kind"] = table.kind;
            made["name"] = table.name;
            made["origin"] = origin_json(table.origin);
        }
        made["values"] = Json::array();
        for (const ShownValue& each : table.values) {
            Json value{{"path", each.path}, {"value", each.value}, {"origin", origin_json(each.origin)}};
            for (const ShownOrigin& element : each.elements) { value["elements"].push_back(origin_json(element)); }
            made["values"].push_back(std::move(value));
        }
        all.push_back(std::move(made));
    }
    return {{"version", 1}, {"tables", std::move(all)}};
}

} // namespace microvmc
