#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace microvmc::testkit {

/// A regular expression of `matches` and `capture`: ECMAScript's, of which Boost.Regex takes more. `^` and `$` match at
/// lines, too, and `.` is any character but a newline. Searching uses no stack that grows with the text, which is a
/// guest's.
class Pattern {
public:
    /// Nothing when it is none; `problem` says why.
    static std::optional<Pattern> compile(std::string_view expression, std::string& problem);

    /// The first group of the first match, all that matched when there is no group; nothing when nothing matches.
    /// Throws Error when the search takes more steps than it may.
    [[nodiscard]] std::optional<std::string> find(std::string_view text) const;

private:
    struct Compiled;
    std::shared_ptr<const Compiled> compiled_;
};

/// An expression that matches just this text.
std::string pattern_quoted(std::string_view text);

} // namespace microvmc::testkit
