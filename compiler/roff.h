#pragma once

#include <string>
#include <string_view>

// Text for man pages, man(7).

namespace microvmc {

/// Fit for a line of text and for an argument in double quotes: backslashes, quotes and hyphens stay what they are, and
/// a leading dot is no request.
std::string roff_text(std::string_view text);

/// The part of Markdown that reference_text.h names: paragraphs, `code` and **strong** in bold, lists of "- ", and
/// code between lines of ```. No paragraph is begun before the first.
std::string roff_markup(std::string_view markdown);

/// `code` and **strong** of one line.
std::string roff_line(std::string_view markdown);

} // namespace microvmc
