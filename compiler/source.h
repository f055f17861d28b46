#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace microvmc {

/// One-based line and column (column counts Unicode code points, as editors do); line 0 means "no position".
struct Position {
    std::uint32_t line = 0;
    std::uint32_t column = 0;

    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes its 0 for a pointer
    friend auto operator<=>(const Position&, const Position&) = default;
};

/// A half-open range [begin, end) in one of the `Sources`.
struct Span {
    std::uint32_t file = 0; ///< index into Sources::files
    Position begin;
    Position end;

    [[nodiscard]] bool known() const { return begin.line != 0; }
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes its 0 for a pointer
    friend auto operator<=>(const Span&, const Span&) = default;
};

/// A value as the user wrote it, and where.
template <typename T> struct Located {
    T value{};
    Span span;
};

/// Text that diagnostics quote. `path` is what is shown; `directory` (absolute) is what relative paths in it mean.
struct SourceFile {
    std::string path;
    std::string directory;
    std::string text;
    bool included = false; ///< another source names it; it was not given itself
    /// The parser's own, kept as long as the text: freeing a big one takes a third of the time that reading it took.
    std::shared_ptr<void> syntax_tree{};
};

/// Everything that was read, in the order in which it was read.
struct Sources {
    std::vector<SourceFile> files;
};

} // namespace microvmc
