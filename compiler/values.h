#pragma once

#include "compiler/diagnostic.h"
#include "compiler/merge.h"
#include "compiler/schema.h"
#include "compiler/traits.h"

#include <optional>
#include <span>
#include <string>

namespace microvmc {

/// Reads the values of keys, by their form.
class Values {
public:
    Values(const Sources& sources, std::span<const Traits> traits, Diagnostics& diagnostics,
           std::span<const Route> routes)
        : sources_(sources), traits_(traits), diagnostics_(diagnostics), routes_(routes) {}

    /// None: it was wrong, and was reported.
    std::optional<Value> read(const KeySchema& key, const Node& node);
    /// A string, integer or boolean as text, for a backend's own keys.
    std::optional<std::string> scalar_text(const Node& node);
    bool check_name(const Node& node, std::string_view name, Span span, std::string_view noun);
    /// Which machine of a `count` it is, what ${name} and ${index} mean; an empty name: none.
    void set_instance(std::string name, std::int64_t index);
    /// The host port of a forward that was written as a string.
    void count_up(ForwardConfig& forward, const Node& node);

    /// Reports, with the note of how an inherited value came here.
    Diagnostic& error(const char* code, const Node& at, Span span, std::string message);

private:
    std::optional<Value> wrong(const KeySchema& key, const Node& node);
    std::optional<std::string> text(const KeySchema& key, const Node& node);
    std::optional<std::string> word(const KeySchema& key, const Node& node, const std::string& text);
    std::optional<std::string> path(const Node& node, const std::string& text);
    std::optional<std::string> guest_path(const Node& node, const std::string& text);
    std::optional<std::string> substituted(const Node& node, const std::string& text);
    std::optional<Strings> list(const KeySchema& key, const Node& node, bool one_allowed);
    std::optional<Value> integer(const KeySchema& key, const Node& node);
    std::optional<Value> size(const KeySchema& key, const Node& node);
    std::optional<Value> duration(const KeySchema& key, const Node& node);
    std::optional<Value> string_table(const KeySchema& key, const Node& node);
    std::optional<std::string> checked(const KeySchema& key, const Node& node, std::string text);
    bool in_range(const KeySchema& key, const Node& node, std::int64_t value);

    const Sources& sources_;
    std::span<const Traits> traits_;
    Diagnostics& diagnostics_;
    std::span<const Route> routes_;
    std::string instance_;
    std::int64_t index_ = 0;
};

/// The default of a key that has one.
Value default_value(const KeySchema& key);
/// "a string", "an integer", ...
std::string_view type_name(const Node& node);
/// "..." in an array: what was inherited stands here.
bool is_inherited_marker(const Node& node);
/// [a-z][a-z0-9-]{0,30}
bool is_name(std::string_view text);
/// The last part of a path or a word, made fit for a name: "images/Data.img" -> "data".
std::string slug(std::string_view text);

} // namespace microvmc
