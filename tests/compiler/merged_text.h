#pragma once

#include "compiler/merge.h"
#include "compiler/schema.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <variant>

// What tests and the fuzzer compare of merged layers.

namespace microvmc {

inline Node over(Node nearer, const Node& farther) {
    merge_tables(nearer, farther, schema_of<Config>());
    return nearer;
}

/// All that merging means, without the places.
inline std::string shown(const Node& node) {
    struct Show {
        std::string operator()(const Table& table) const {
            std::string text = "{";
            for (const Member& member : table.members) {
                text += fmt::format("{}:{},", member.key, shown(member.value));
            }
            return text + "}";
        }
        std::string operator()(const Array& array) const {
            std::string text = "[";
            for (const Node& item : array.items) { text += shown(item) + ","; }
            return text + "]";
        }
        std::string operator()(const std::string& text) const { return "'" + text + "'"; }
        std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
        std::string operator()(double number) const { return fmt::format("{}", number); }
        std::string operator()(bool flag) const { return flag ? "true" : "false"; }
        std::string operator()(const Datetime& date) const { return date.text; }
    };
    return (node.replaces ? "!" : "") + std::visit(Show{}, node.value);
}

} // namespace microvmc
