#pragma once

#include "compiler/diagnostic.h"
#include "compiler/source.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace microvmc {

/// Things that must differ; the first that had one is kept for the note.
class Unique {
public:
    Unique(Diagnostics& diagnostics, const char* code) : diagnostics_(diagnostics), code_(code) {}

    /// `message` is called when `key` is there already.
    template <typename Message>
    void add(std::string key, const Span& span, Message message, std::string_view help = {}) {
        const auto [at, fresh] = first_.emplace(std::move(key), span);
        if (fresh) { return; }
        auto& diagnostic = diagnostics_.error(code_, span, message());
        diagnostic.notes.push_back({at->second, "the other is here"});
        diagnostic.help = help;
    }

private:
    Diagnostics& diagnostics_;
    const char* code_;
    std::unordered_map<std::string, Span> first_;
};

} // namespace microvmc
