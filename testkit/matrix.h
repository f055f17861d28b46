#pragma once

#include "compiler/diagnostic.h"
#include "compiler/document.h"
#include "compiler/traits.h"
#include "testkit/spec.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace microvmc::testkit {

/// More than these aren't enumerated, and a run has no more.
inline constexpr std::size_t max_cases = 10'000;

struct AxisValue {
    std::string text;             ///< as a case's name and environment variables have it
    Node value;                   ///< a scalar; a string for a fragment
    std::optional<Node> fragment; ///< a table that is merged over the machines
    Span span;
};

struct Axis {
    std::string name;
    Span span;
    std::vector<AxisValue> values; ///< at least one, with different texts
};

/// An entry of `exclude`: the values (by index) that each of some axes has, and what the target is like.
struct Exclude {
    std::vector<std::pair<std::size_t, std::vector<std::size_t>>> axes;
    std::vector<Exclusion> targets; ///< any of these; none: whatever the target is
};

struct Matrix {
    std::vector<Axis> axes; ///< in the order of the text
    std::vector<Exclude> excludes;
};

/// An index of a value for each axis.
using Point = std::vector<std::size_t>;

/// Reads `matrix` and `exclude` of a spec's root; nothing when they are wrong, as `diagnostics` says.
std::optional<Matrix> read_matrix(const Table& root, std::span<const Traits> traits, Diagnostics& diagnostics);

/// Those that aren't excluded on every target, the last axis running fastest.
std::vector<Point> points(const Matrix& matrix);
/// The targets that this one isn't for.
std::vector<Exclusion> not_on(const Matrix& matrix, const Point& point);
/// "fs=ext4,format=raw"
std::string case_name(const Matrix& matrix, const Point& point);

} // namespace microvmc::testkit
