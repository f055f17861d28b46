#pragma once

#include "compiler/schema.h"
#include "compiler/traits.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

// What the generated documents (JSON Schema, docs/LANGUAGE.md, microvm.toml(5)) say of the schema table alike.

namespace microvmc {

/// Every table that `root` leads to, itself included, each once, in the order of the keys; with a name that is its own:
/// the noun, or "guest-endpoint" where two have the same one.
using TableNames = std::vector<std::pair<const TableSchema*, std::string>>;
TableNames table_names(const TableSchema& root);

/// What a key means, what holds when it is absent, and what no hypervisor does yet; whole sentences.
std::string description(const KeySchema& key, std::span<const Traits> traits);
/// The last of them alone; empty when one does all of it.
std::string unbuilt_text(const KeySchema& key, std::span<const Traits> traits);

/// What a key takes, for people: "size", "true or false", "`tcp` or `udp`", "integer, 1 to 65535". Words are in
/// backticks.
std::string type_text(const KeySchema& key);

} // namespace microvmc
