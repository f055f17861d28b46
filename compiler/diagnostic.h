#pragma once

#include "compiler/source.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace microvmc {

enum class Severity { error, warning };

struct Note {
    Span span; ///< unknown: the note has no place
    std::string message;
};

/// Something wrong in what a user wrote. The one form of it: text and JSON are rendered from this.
struct Diagnostic {
    Severity severity = Severity::error;
    std::string code; ///< stable, "E0412"; the table is in diagnostic_codes.cpp
    Span span;
    std::string message;
    std::vector<Note> notes;
    std::string help; ///< what to do; computed from the tables where it can be
    /// It is about a value that came from elsewhere, and may have been reported there, too; `sort` makes one of them.
    bool inherited = false;
};

/// Collects every diagnostic of a phase; `sort` puts them in source order.
class Diagnostics {
public:
    /// More than these are counted, not kept.
    static constexpr std::size_t most = 1000;

    /// The reference holds until the next call.
    Diagnostic& error(std::string code, Span span, std::string message);
    Diagnostic& warning(std::string code, Span span, std::string message);
    /// In source order; what was said twice of one place (a template that two machines use) is said once, with the
    /// notes of both.
    void sort();
    /// Adds the notes that `notes` has for each.
    void add_notes(const std::function<std::vector<Note>(const Diagnostic&)>& notes);
    [[nodiscard]] bool has_errors() const { return errors_ != 0; }
    [[nodiscard]] const std::vector<Diagnostic>& all() const { return diagnostics_; }
    /// How many came after `most`.
    [[nodiscard]] std::size_t left_out() const { return left_out_; }
    /// The value there is a secret: no snippet shows it.
    void mask(Span span) { masked_.push_back(span); }
    [[nodiscard]] const std::vector<Span>& masked() const { return masked_; }

private:
    Diagnostic& add(Severity severity, std::string code, Span span, std::string message);

    std::vector<Diagnostic> diagnostics_;
    std::vector<Span> masked_;
    Diagnostic spare_;
    std::size_t errors_ = 0;
    std::size_t left_out_ = 0;
};

/// All of them as people read them: code, file:line:column, the line, a caret, notes, help. Control characters of the
/// source never reach the output; values of secret keys are masked.
std::string render_text(const Diagnostics& diagnostics, const Sources& sources, bool colour);
nlohmann::json render_json(const Diagnostics& diagnostics, const Sources& sources);

} // namespace microvmc
