#include "runtime/terminal.h"

#include "compiler/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace microvmc {

void put_text(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written <= 0) { return; }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

Terminal terminal(int fd) {
    Terminal result;
    const char* term = std::getenv("TERM");
    result.interactive = ::isatty(fd) == 1 && term != nullptr && std::string_view(term) != "dumb";
    const char* no_color = std::getenv("NO_COLOR");
    result.colour = result.interactive && (no_color == nullptr || *no_color == '\0');
    winsize size{};
    if (result.interactive && ::ioctl(fd, TIOCGWINSZ, &size) == 0) {
        if (size.ws_col > 0) { result.width = size.ws_col; }
        if (size.ws_row > 0) { result.height = size.ws_row; }
    }
    return result;
}

std::string render_table(const std::vector<std::vector<std::string>>& rows, bool colour) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) { widths[i] = std::max(widths[i], display_width(row[i])); }
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size()) { line.append(widths[i] - display_width(row[i]) + 2, ' '); }
        }
        line.erase(line.find_last_not_of(' ') + 1);
        const bool heading = &row == &rows.front();
        out += heading && colour ? fmt::format("\x1b[1m{}\x1b[0m\n", line) : line + "\n";
    }
    return out;
}

ProgressLines::ProgressLines(int fd) : fd_(fd), terminal_(terminal(fd)) {}

ProgressLines::~ProgressLines() {
    clear();
}

void ProgressLines::show(const std::vector<std::string>& lines) {
    if (!terminal_.interactive) { return; }
    clear();
    std::string text;
    shown_ = std::min(lines.size(), most);
    for (std::size_t i = 0; i < shown_; ++i) {
        const bool rest = i + 1 == most && lines.size() > most;
        const std::string line = rest ? fmt::format("and {} more", lines.size() - i) : lines[i];
        text += printable(line).substr(0, terminal_.width - 1) + "\n";
    }
    put_text(fd_, text);
}

void ProgressLines::clear() {
    if (shown_ == 0) { return; }
    put_text(fd_, fmt::format("\x1b[{}A\r\x1b[J", shown_));
    shown_ = 0;
}

ProgressLine::ProgressLine(int fd) : fd_(fd), terminal_(terminal(fd)) {}

ProgressLine::~ProgressLine() {
    clear();
}

void ProgressLine::show(std::string_view text) {
    if (!terminal_.interactive) { return; }
    const std::string line = printable(text).substr(0, terminal_.width - 1);
    put_text(fd_, fmt::format("\r\x1b[K{}", line));
    shown_ = true;
}

void ProgressLine::clear() {
    if (!shown_) { return; }
    put_text(fd_, "\r\x1b[K");
    shown_ = false;
}

} // namespace microvmc
