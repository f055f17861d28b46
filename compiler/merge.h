#pragma once

#include "compiler/config.h"
#include "compiler/document.h"

#include <string>
#include <vector>

namespace microvmc {

/// All layers as one: later documents over earlier ones, and every [vm.NAME] with [defaults] and its templates below
/// it.
struct Merged {
    Node root;
    std::vector<Route> routes; ///< Node::route - 1 is the index
    std::uint32_t file = 0;    ///< the first document's
};

/// Merges by the one rule: tables deeply, collections by name, all else replaced by the nearer. Pure.
Merged merge(std::vector<Document> documents, Diagnostics& diagnostics);

/// A collection as a table, whichever form it was written in; elements without a name have the empty key.
void as_table(Node& node);

/// One step of it, by the schema of the table that both are: `nearer` over `farther`.
struct TableSchema;
void merge_tables(Node& nearer, const Node& farther, const TableSchema& schema);

} // namespace microvmc
