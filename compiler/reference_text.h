#pragma once

#include "compiler/schema.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

// What docs/LANGUAGE.md and microvm.toml(5) have in common.

namespace microvmc {

/// A few paragraphs on what all keys have in common. The text is the part of Markdown that roff.h reads, too:
/// paragraphs, `code`, lists of "- ", and code between lines of ```.
struct ReferenceSection {
    std::string_view title;
    std::string_view text;
};
std::span<const ReferenceSection> reference_preface();

/// A table of the language and where it may stand.
struct ReferenceTable {
    struct Place {
        std::string path; ///< "[vm.NAME.volumes.NAME]", "[[step]]"; empty: the top of the file
        std::string_view doc;
    };
    const TableSchema* schema = nullptr;
    std::vector<Place> places;
    /// What is to be said about its elements: which keys exclude each other, where a name comes from. Markdown.
    std::string rules;
};
/// All of them that a file leads to, the file itself first, each after one that leads to it.
std::vector<ReferenceTable> reference_tables(const TableSchema& root = schema_of<Config>());

/// The default as people read it: "`ext4`", or how it is made; empty when there is none.
std::string default_text(const KeySchema& key);

} // namespace microvmc
