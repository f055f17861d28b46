#pragma once

#include "compiler/source.h"

#include <nlohmann/json_fwd.hpp>

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
};

/// Collects every diagnostic of a phase; `sort` puts them in source order.
class Diagnostics {
public:
    Diagnostic& error(std::string code, Span span, std::string message);
    Diagnostic& warning(std::string code, Span span, std::string message);
    void sort();
    [[nodiscard]] bool has_errors() const;
    [[nodiscard]] const std::vector<Diagnostic>& all() const { return diagnostics_; }

private:
    std::vector<Diagnostic> diagnostics_;
};

/// All of them as people read them: code, file:line:column, the line, a caret, notes, help. Control characters of the
/// source never reach the output; values of secret keys are masked.
std::string render_text(const Diagnostics& diagnostics, const Sources& sources, bool colour);
nlohmann::json render_json(const Diagnostics& diagnostics, const Sources& sources);

} // namespace microvmc
