#include "compiler/diagnostic.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace microvmc {

namespace {

void merge_notes(std::vector<Note>& into, std::vector<Note> from) {
    constexpr std::size_t enough = 4;
    for (Note& note : from) {
        const bool known = std::ranges::any_of(
            into, [&](const Note& other) { return other.span == note.span && other.message == note.message; });
        if (!known && into.size() < enough) { into.push_back(std::move(note)); }
    }
}

} // namespace

Diagnostic& Diagnostics::add(Severity severity, std::string code, Span span, std::string message) {
    if (severity == Severity::error) { ++errors_; }
    Diagnostic made{.severity = severity,
                    .code = std::move(code),
                    .span = span,
                    .message = std::move(message),
                    .notes = {},
                    .help = {},
                    .inherited = false};
    if (diagnostics_.size() >= most) {
        ++left_out_;
        return spare_ = std::move(made);
    }
    return diagnostics_.emplace_back(std::move(made));
}

Diagnostic& Diagnostics::error(std::string code, Span span, std::string message) {
    return add(Severity::error, std::move(code), span, std::move(message));
}

Diagnostic& Diagnostics::warning(std::string code, Span span, std::string message) {
    return add(Severity::warning, std::move(code), span, std::move(message));
}

void Diagnostics::add_notes(const std::function<std::vector<Note>(const Diagnostic&)>& notes) {
    for (Diagnostic& diagnostic : diagnostics_) { merge_notes(diagnostic.notes, notes(diagnostic)); }
}

void Diagnostics::sort() {
    std::ranges::stable_sort(diagnostics_, [](const Diagnostic& a, const Diagnostic& b) { return a.span < b.span; });
    std::vector<Diagnostic> once;
    once.reserve(diagnostics_.size());
    std::size_t place = 0; // where in `once` those of the same span begin
    for (Diagnostic& diagnostic : diagnostics_) {
        if (once.empty() || once.back().span != diagnostic.span) { place = once.size(); }
        const auto same =
            std::find_if(once.begin() + static_cast<std::ptrdiff_t>(place), once.end(), [&](const Diagnostic& other) {
                const bool inherited = (other.inherited || diagnostic.inherited) && diagnostic.span.known();
                return other.code == diagnostic.code && (other.message == diagnostic.message || inherited);
            });
        if (same == once.end()) {
            once.push_back(std::move(diagnostic));
            continue;
        }
        if (same->inherited && !diagnostic.inherited) { std::swap(*same, diagnostic); }
        merge_notes(same->notes, std::move(diagnostic.notes));
    }
    diagnostics_ = std::move(once);
}

} // namespace microvmc
