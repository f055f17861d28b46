#include "runtime/commands/session.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/text.h"
#include "runtime/error.h"
#include "runtime/terminal.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <unistd.h>

namespace microvmc {

namespace {

/// "e0412" -> "E0412"; empty: it is no code's form.
std::string as_code(std::string text) {
    if (text.size() != 5) { return {}; }
    if (text[0] == 'e' || text[0] == 'w') { text[0] = static_cast<char>(text[0] - 'a' + 'A'); }
    const bool digits = std::all_of(text.begin() + 1, text.end(), [](char c) { return c >= '0' && c <= '9'; });
    return digits && (text[0] == 'E' || text[0] == 'W') ? text : std::string();
}

/// In lines of at most `width` columns.
std::string wrapped(std::string_view text, std::size_t width) {
    std::string out;
    std::size_t column = 0;
    while (!text.empty()) {
        const auto end = text.find(' ');
        const std::string_view word = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const std::size_t wide = display_width(word);
        if (column != 0) {
            const bool fits = column + 1 + wide <= width;
            out += fits ? ' ' : '\n';
            column = fits ? column + 1 : 0;
        }
        out += word;
        column += wide;
    }
    return out + "\n";
}

void explain_code(const std::string& code, const Session& session) {
    const CodeInfo* info = find_code(code);
    if (info == nullptr) {
        std::vector<std::string_view> known;
        for (const CodeInfo& each : diagnostic_codes()) { known.push_back(each.code); }
        const std::string_view meant = nearest(code, known);
        throw Error(fmt::format("there is no code {}", code),
                    meant.empty() ? "docs/LANGUAGE.md lists all of them" : fmt::format("did you mean {}?", meant));
    }
    const bool colour = colour_on_stdout(session);
    const char* severity = code.front() == 'E' ? "\x1b[1;31m" : "\x1b[1;33m";
    const std::size_t width = std::min<std::size_t>(terminal(STDOUT_FILENO).width, 100);
    print(fmt::format("{}{}{}  {}{}{}\n\n{}", colour ? severity : "", info->code, colour ? "\x1b[0m" : "",
                      colour ? "\x1b[1m" : "", info->title, colour ? "\x1b[0m" : "",
                      wrapped(info->explanation, width)));
}

} // namespace

void add_explain(CLI::App& app, Session& session) {
    auto what = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("explain", "Explain the code of a message, such as E0201");
    command->add_option("code", *what, "The code of an error or a warning")->required()->type_name("CODE");
    command->add_flag("--no-color", session.no_color, "Never colour the output");
    command->callback([&session, what] {
        if (const std::string code = as_code(*what); !code.empty()) {
            explain_code(code, session);
            return;
        }
        throw Error(fmt::format("`{}` is no code of a message", printable(*what)),
                    "a code is E or W and four digits, as it stands in the message: E0201");
    });
}

} // namespace microvmc
