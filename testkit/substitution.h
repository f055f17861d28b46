#pragma once

#include "compiler/diagnostic.h"
#include "compiler/schema.h"
#include "testkit/matrix.h"

#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

namespace microvmc::testkit {

/// Puts the values of one point of a matrix into the text of its spec: a string that is nothing but `${axis}` becomes
/// the value, with its type; elsewhere in a string it becomes the value's text.
class Substitution {
public:
    Substitution(const Matrix& matrix, const Point& point, Diagnostics& diagnostics)
        : matrix_(matrix), point_(point), diagnostics_(diagnostics) {}

    /// Of a table as the machines have them at the top; ${scratch} becomes scratch_mark. A reference to anything else
    /// is an error there, but in commands and their environment, which shells read, and for ${name} and ${index}, which
    /// `count` replaces.
    void machines(Node& root);
    /// Of the rest of a spec. References to what isn't an axis stay; in what a shell reads, all do.
    void spec(Node& root);

    /// Bytes of the texts that were made.
    [[nodiscard]] std::size_t made() const { return made_; }
    /// Once so many bytes were made, nothing more is.
    static constexpr std::size_t most_made = std::size_t{16} << 20;

    /// For a diagnostic about a value that was put there: which one it is.
    [[nodiscard]] std::vector<Note> notes(const Span& span) const;

private:
    const AxisValue* find(std::string_view name) const;
    std::optional<std::string> text_of(std::string_view name) const;
    void value(Node& node, bool strict, bool pattern);
    void all(Node& node, bool strict, bool pattern = false);
    void table(Node& node, const TableSchema& schema);
    void by_schema(Node& node, const KeySchema& key);
    void command(Node& argv);
    void step(Table& step);
    void unknown(const Node& node, std::string_view name, bool closed);

    const Matrix& matrix_;
    const Point& point_;
    Diagnostics& diagnostics_;
    std::map<Span, std::vector<Note>> put_; ///< by where it was put: what it is
    std::size_t made_ = 0;
    bool of_machines_ = false;
};

/// More references than these aren't looked at in one text.
inline constexpr std::size_t max_references = 1000;

/// Whether an argv is of a shell, which reads `${x}` itself.
bool is_shell(std::string_view program);

} // namespace microvmc::testkit
