#include "compiler/diagnostic.h"

#include <algorithm>
#include <tuple>

namespace microvmc {

Diagnostic& Diagnostics::add(Severity severity, std::string code, Span span, std::string message) {
    if (severity == Severity::error) { ++errors_; }
    Diagnostic made{.severity = severity,
                    .code = std::move(code),
                    .span = span,
                    .message = std::move(message),
                    .notes = {},
                    .help = {}};
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

void Diagnostics::sort() {
    std::ranges::stable_sort(diagnostics_, [](const Diagnostic& a, const Diagnostic& b) { return a.span < b.span; });
    std::vector<Diagnostic> once;
    once.reserve(diagnostics_.size());
    for (Diagnostic& diagnostic : diagnostics_) {
        const auto same = std::ranges::find_if(once.rbegin(), once.rend(), [&](const Diagnostic& other) {
            return other.span != diagnostic.span ||
                   (other.code == diagnostic.code && other.message == diagnostic.message);
        });
        if (same == once.rend() || same->span != diagnostic.span) {
            once.push_back(std::move(diagnostic));
            continue;
        }
        constexpr std::size_t enough = 4;
        for (Note& note : diagnostic.notes) {
            const bool known = std::ranges::any_of(same->notes, [&](const Note& other) {
                return other.span == note.span && other.message == note.message;
            });
            if (!known && same->notes.size() < enough) { same->notes.push_back(std::move(note)); }
        }
    }
    diagnostics_ = std::move(once);
}

} // namespace microvmc
