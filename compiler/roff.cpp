#include "compiler/roff.h"

namespace microvmc {

namespace {

/// What a character is written as; groff_char(7).
std::string_view escape(char c) {
    switch (c) {
    case '\\': return "\\(rs";
    case '-': return "\\-";
    case '\'': return "\\(aq";
    case '"': return "\\(dq";
    case '`': return "\\(ga";
    case '^': return "\\(ha";
    case '~': return "\\(ti";
    default: return {};
    }
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const std::string_view written = escape(c);
        if (written.empty()) {
            out += c;
        } else {
            out += written;
        }
    }
    return out;
}

std::string guarded(std::string text) {
    return text.starts_with('.') ? "\\&" + text : text;
}

} // namespace

std::string roff_text(std::string_view text) {
    return guarded(escaped(text));
}

std::string roff_line(std::string_view markdown) {
    std::string out;
    bool bold = false;
    for (std::size_t i = 0; i < markdown.size(); ++i) {
        const bool strong = markdown.substr(i).starts_with("**");
        if (markdown[i] == '`' || strong) {
            bold = !bold;
            out += bold ? "\\fB" : "\\fP";
            if (strong) { ++i; }
            continue;
        }
        out += escaped(markdown.substr(i, 1));
    }
    return guarded(out);
}

std::string roff_markup(std::string_view markdown) {
    std::string out;
    bool code = false;
    bool list = false;
    bool paragraph = false; // one is open
    while (!markdown.empty()) {
        const auto end = markdown.find('\n');
        std::string_view line = markdown.substr(0, end);
        markdown.remove_prefix(end == std::string_view::npos ? markdown.size() : end + 1);
        if (line == "```") {
            code = !code;
            if (code && !out.empty()) { out += ".PP\n"; }
            out += code ? ".RS 4\n.EX\n" : ".EE\n.RE\n";
            list = paragraph = false;
        } else if (code) {
            out += roff_text(line) + "\n";
        } else if (line.empty()) {
            paragraph = false;
        } else if (line.starts_with("- ")) {
            out += ".IP \\(bu 2\n" + roff_line(line.substr(2)) + "\n";
            list = paragraph = true;
        } else {
            if (list && line.starts_with("  ")) { line.remove_prefix(2); }
            if (!paragraph && !out.empty()) { out += ".PP\n"; }
            paragraph = true;
            out += roff_line(line) + "\n";
        }
    }
    return out;
}

} // namespace microvmc
