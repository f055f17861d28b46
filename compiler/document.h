#pragma once

#include "compiler/diagnostic.h"
#include "compiler/source.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace microvmc {

struct Node;
struct Member;

struct Table {
    std::vector<Member> members; ///< in the order of the text

    [[nodiscard]] const Member* find(std::string_view key) const;
    [[nodiscard]] Member* find(std::string_view key);
};

struct Array {
    std::vector<Node> items;
};

/// A date or time; the language has no use for one, so its text is all that is kept.
struct Datetime {
    std::string text;
};

/// A TOML value and where it stands.
struct Node {
    Span span;
    /// Merging's record of how an inherited value came here, an index into Merged::routes; 0: written here.
    std::uint32_t route = 0;
    /// Merging: nothing that a farther layer says is kept below this (`NAME = false` stood between).
    bool replaces = false;
    std::variant<Table, Array, std::string, std::int64_t, double, bool, Datetime> value;

    [[nodiscard]] const Table* table() const { return std::get_if<Table>(&value); }
    [[nodiscard]] Table* table() { return std::get_if<Table>(&value); }
    [[nodiscard]] const Array* array() const { return std::get_if<Array>(&value); }
    [[nodiscard]] Array* array() { return std::get_if<Array>(&value); }
    [[nodiscard]] const std::string* string() const { return std::get_if<std::string>(&value); }
    [[nodiscard]] bool is_false() const {
        const bool* flag = std::get_if<bool>(&value);
        return flag != nullptr && !*flag;
    }
};

struct Member {
    std::string key;
    Span key_span;
    Node value;
};

/// A microvm.toml as it was written.
struct Document {
    std::uint32_t file = 0; ///< index into Sources::files
    Node root;              ///< a table
};

/// How many values `node` is, itself included.
std::size_t count_values(const Node& node);

/// Merging and `count` copy; this many values are the most that a project may come to.
inline constexpr std::size_t max_values = 3'000'000;
inline constexpr std::size_t max_source_bytes = std::size_t{8} << 20;
inline constexpr std::uint32_t max_nesting = 32;      ///< of brackets and inline tables
inline constexpr std::uint32_t max_dotted_parts = 32; ///< of a key or a table header

/// Reads `sources.files[file]`. Refuses what toml++ 3.3 can't take (its recursion over dotted keys overflows the stack)
/// before it sees the text. The source keeps its tree. None: the text is no TOML, and `diagnostics` says where.
std::optional<Document> parse(Sources& sources, std::uint32_t file, Diagnostics& diagnostics);

} // namespace microvmc
