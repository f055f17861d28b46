#pragma once

#include "compiler/diagnostic.h"
#include "compiler/source.h"

#include <cstddef>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace microvmc {

/// Things that must differ; the first that had one is kept for the note. Key: std::string, or std::string_view of texts
/// that outlive it.
template <typename Key> class Unique {
public:
    Unique(Diagnostics& diagnostics, const char* code) : diagnostics_(diagnostics), code_(code) {}

    /// `message` is called when `key` is there already.
    template <typename Message> void add(Key key, const Span& span, Message message, std::string_view help = {}) {
        const Span* const first = find(key);
        if (first == nullptr) {
            keep(std::move(key), span);
            return;
        }
        auto& diagnostic = diagnostics_.error(code_, span, message());
        diagnostic.notes.push_back({*first, "the other is here"});
        diagnostic.help = help;
    }
    void clear() {
        few_.clear();
        many_.clear();
    }

private:
    static constexpr std::size_t most_few = 8;

    const Span* find(const Key& key) const {
        for (const auto& [each, span] : few_) {
            if (each == key) { return &span; }
        }
        const auto found = many_.find(key);
        return found == many_.end() ? nullptr : &found->second;
    }
    void keep(Key key, const Span& span) {
        if (many_.empty() && few_.size() < most_few) {
            few_.emplace_back(std::move(key), span);
            return;
        }
        for (auto& [each, first] : few_) { many_.emplace(std::move(each), first); }
        few_.clear();
        many_.emplace(std::move(key), span);
    }

    Diagnostics& diagnostics_;
    const char* code_;
    std::vector<std::pair<Key, Span>> few_; ///< what one machine has: quicker searched than hashed
    std::unordered_map<Key, Span> many_;    ///< else all of them
};

} // namespace microvmc
