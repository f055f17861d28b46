// Prints libFuzzer's dictionary of the language: every key and word of the schema, and what plans are written with.

#include "compiler/schema.h"

#include <cstdio>
#include <set>
#include <string>

namespace {

using namespace microvmc;

void collect(const TableSchema& table, std::set<const TableSchema*>& seen, std::set<std::string>& words) {
    if (!seen.insert(&table).second) { return; }
    for (const KeySchema& key : table.keys) {
        words.emplace(key.name);
        words.emplace(key.default_text);
        for (const std::string_view word : key.words) { words.emplace(word); }
        if (key.table != nullptr) { collect(*key.table, seen, words); }
    }
}

} // namespace

int main() {
    std::set<const TableSchema*> seen;
    std::set<std::string> words{"[[", "]]", "...", "'...', ", " = false\n", "[vm.a]\n", "\n---\n", "mvmc", "null"};
    collect(schema_of<Config>(), seen, words);
    for (const std::string& word : words) {
        if (word.empty()) { continue; }
        std::putchar('"');
        for (const char c : word) { std::printf("\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c))); }
        std::puts("\"");
    }
    return 0;
}
