#include "compiler/diagnostic.h"

#include "compiler/secret_lines.h"
#include "compiler/text.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

namespace microvmc {

namespace {

struct Paint {
    bool on = false;
    [[nodiscard]] std::string operator()(const char* code, std::string_view text) const {
        return on ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
    }
};
constexpr const char* red = "1;31";
constexpr const char* yellow = "1;33";
constexpr const char* blue = "1;34";
constexpr const char* green = "1;32";
constexpr const char* bold = "1";

/// The lines of the sources, found once each.
class Lines {
public:
    explicit Lines(const Sources& sources) : sources_(sources) {}

    std::string_view get(std::uint32_t file, std::uint32_t line) {
        if (file >= sources_.files.size() || line == 0) { return {}; }
        auto& starts = starts_[file];
        const std::string& text = sources_.files[file].text;
        if (starts.empty()) {
            starts.push_back(0);
            for (std::size_t i = 0; i < text.size(); ++i) {
                if (text[i] == '\n') { starts.push_back(i + 1); }
            }
        }
        if (line > starts.size()) { return {}; }
        const std::size_t begin = starts[line - 1];
        std::string_view found = std::string_view(text).substr(begin, text.find('\n', begin) - begin);
        if (found.ends_with('\r')) { found.remove_suffix(1); }
        return found;
    }

private:
    const Sources& sources_;
    std::unordered_map<std::uint32_t, std::vector<std::size_t>> starts_;
};

/// A source line as a terminal may show it, and where its columns are.
struct Snippet {
    std::string text;
    std::vector<std::size_t> columns; ///< display column of each code point, and of the end
};

Snippet snippet(std::string_view line) {
    constexpr std::size_t tab = 4;
    Snippet made;
    std::size_t column = 0;
    for (std::size_t i = 0; i < line.size();) {
        const std::size_t start = i;
        const char32_t c = next_code_point(line, i);
        made.columns.push_back(column);
        if (c == '\t') {
            const std::size_t width = tab - column % tab;
            made.text.append(width, ' ');
            column += width;
            continue;
        }
        const std::string shown = printable(line.substr(start, i - start));
        column += display_width(shown);
        made.text += shown;
    }
    made.columns.push_back(column);
    return made;
}

/// A line, a long one cut around the caret, whose columns follow.
std::string shortened(const Snippet& made, std::size_t& from, std::size_t& to) {
    constexpr std::size_t most = 160;
    if (made.text.size() <= most) { return made.text; }
    std::size_t begin_column = from > most / 2 ? from - most / 2 : 0;
    std::string out;
    std::size_t column = 0;
    std::size_t first = std::string::npos;
    for (std::size_t i = 0; i < made.text.size() && column <= begin_column + most;) {
        const std::size_t start = i;
        const auto width = static_cast<std::size_t>(display_width(next_code_point(made.text, i)));
        if (column >= begin_column && column + width <= begin_column + most) {
            if (first == std::string::npos) { first = column; }
            out += std::string_view(made.text).substr(start, i - start);
        }
        column += width;
    }
    const std::size_t lead = first > 0 && first != std::string::npos ? 3 : 0;
    if (first == std::string::npos) { first = 0; }
    if (column > begin_column + most) { out += "..."; }
    from = from - first + lead;
    to = std::min(to - first + lead, most + lead);
    return std::string(lead, '.') + out;
}

class Renderer {
public:
    Renderer(const Sources& sources, const Diagnostics& diagnostics, bool colour)
        : sources_(sources), diagnostics_(diagnostics), lines_(sources), paint_{colour} {}

    std::string render(const Diagnostic& diagnostic) {
        out_.clear();
        gutter_ = 1;
        widen(diagnostic.span);
        for (const Note& note : diagnostic.notes) { widen(note.span); }
        const bool error = diagnostic.severity == Severity::error;
        out_ += paint_(error ? red : yellow, fmt::format("{}[{}]", error ? "error" : "warning", diagnostic.code));
        out_ += paint_(bold, fmt::format(": {}", printable(diagnostic.message)));
        out_ += '\n';
        place(diagnostic.span, error ? red : yellow, '^');
        for (const Note& note : diagnostic.notes) {
            out_ += std::string(gutter_ + 1, ' ');
            out_ += paint_(blue, "= ");
            out_ += paint_(bold, "note");
            out_ += fmt::format(": {}\n", printable(note.message));
            place(note.span, blue, '-');
        }
        if (!diagnostic.help.empty()) {
            out_ += std::string(gutter_ + 1, ' ');
            out_ += paint_(blue, "= ");
            out_ += paint_(green, "help");
            out_ += fmt::format(": {}\n", printable(diagnostic.help));
        }
        return out_;
    }

private:
    void widen(const Span& span) { gutter_ = std::max(gutter_, fmt::formatted_size("{}", span.begin.line)); }

    void place(const Span& span, const char* colour, char mark) {
        if (span.file >= sources_.files.size()) { return; }
        if (!span.known()) {
            // A diagnostic of a whole file; a note without a place has nothing more to say.
            if (mark == '^' && !sources_.files[span.file].path.empty()) {
                out_ += std::string(gutter_, ' ');
                out_ += paint_(blue, "--> ");
                out_ += fmt::format("{}\n", printable(sources_.files[span.file].path));
            }
            return;
        }
        out_ += std::string(gutter_, ' ');
        out_ += paint_(blue, "--> ");
        out_ +=
            fmt::format("{}:{}:{}\n", printable(sources_.files[span.file].path), span.begin.line, span.begin.column);

        const Snippet& made = whole_line(span);
        const std::size_t last = made.columns.size() - 1;
        const std::size_t first = std::min<std::size_t>(span.begin.column - 1, last);
        std::size_t end = span.end.line == span.begin.line ? std::min<std::size_t>(span.end.column - 1, last) : last;
        end = std::max(end, first);
        std::size_t from = made.columns[first];
        std::size_t to = std::max(made.columns[end], from + 1);
        const std::string text = shortened(made, from, to);
        out_ += std::string(gutter_ + 1, ' ') + paint_(blue, "|") + '\n';
        out_ += paint_(blue, fmt::format("{:>{}} |", span.begin.line, gutter_)) + ' ' + text + '\n';
        out_ += std::string(gutter_ + 1, ' ') + paint_(blue, "|") + ' ' + std::string(from, ' ') +
                paint_(colour, std::string(to - from, mark)) + '\n';
    }

    /// The line where a span begins. The last one is kept: of a long line, there may be much to say.
    const Snippet& whole_line(const Span& span) {
        const std::pair at(span.file, span.begin.line);
        if (last_at_ == at) { return last_; }
        std::string line(lines_.get(span.file, span.begin.line));
        auto [secrets, fresh] = secrets_.try_emplace(span.file);
        if (fresh) { secrets->second = SecretLines(sources_.files[span.file].text); }
        line = secrets->second.masked(span.begin.line, line);
        mask(line, span);
        last_ = snippet(line);
        last_at_ = at;
        return last_;
    }

    /// Stars over what a phase said is secret on this line.
    void mask(std::string& line, const Span& at) const {
        for (const Span& secret : diagnostics_.masked()) {
            if (secret.file != at.file || secret.begin.line > at.begin.line || secret.end.line < at.begin.line) {
                continue;
            }
            std::string out;
            std::uint32_t column = 1;
            for (std::size_t i = 0; i < line.size(); ++column) {
                const std::size_t start = i;
                next_code_point(line, i);
                const Position here{at.begin.line, column};
                const bool inside = here >= secret.begin && here < secret.end;
                out += inside ? std::string("*") : line.substr(start, i - start);
            }
            line = out;
        }
    }

    const Sources& sources_;
    const Diagnostics& diagnostics_;
    Lines lines_;
    std::unordered_map<std::uint32_t, SecretLines> secrets_;
    Snippet last_;
    std::pair<std::uint32_t, std::uint32_t> last_at_{0, 0}; ///< its file and line
    Paint paint_;
    std::string out_;
    std::size_t gutter_ = 1;
};

nlohmann::json place_json(const Span& span, const Sources& sources) {
    nlohmann::json json = nlohmann::json::object();
    if (span.file < sources.files.size()) { json["file"] = sources.files[span.file].path; }
    if (span.known()) {
        json["line"] = span.begin.line;
        json["column"] = span.begin.column;
        json["end-line"] = span.end.line;
        json["end-column"] = span.end.column;
    }
    return json;
}

} // namespace

std::string render_text(const Diagnostics& diagnostics, const Sources& sources, bool colour) {
    constexpr std::size_t shown = 100;
    Renderer renderer(sources, diagnostics, colour);
    std::string out;
    std::size_t count = 0;
    for (const Diagnostic& diagnostic : diagnostics.all()) {
        if (count++ == shown) { break; }
        if (!out.empty()) { out += '\n'; }
        out += renderer.render(diagnostic);
    }
    const std::size_t rest =
        diagnostics.left_out() + diagnostics.all().size() - std::min(shown, diagnostics.all().size());
    if (rest != 0) { out += fmt::format("\nand {} more\n", rest); }
    return out;
}

nlohmann::json render_json(const Diagnostics& diagnostics, const Sources& sources) {
    nlohmann::json all = nlohmann::json::array();
    for (const Diagnostic& diagnostic : diagnostics.all()) {
        nlohmann::json json = place_json(diagnostic.span, sources);
        json["severity"] = diagnostic.severity == Severity::error ? "error" : "warning";
        json["code"] = diagnostic.code;
        json["message"] = diagnostic.message;
        if (!diagnostic.help.empty()) { json["help"] = diagnostic.help; }
        for (const Note& note : diagnostic.notes) {
            nlohmann::json made = place_json(note.span, sources);
            made["message"] = note.message;
            json["notes"].push_back(std::move(made));
        }
        all.push_back(std::move(json));
    }
    return all;
}

} // namespace microvmc
