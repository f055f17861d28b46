#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace microvmc {

/// What the terminal on a descriptor can show.
struct Terminal {
    bool interactive = false; ///< a terminal, and not TERM=dumb
    bool colour = false;      ///< interactive and NO_COLOR (https://no-color.org) unset
    unsigned width = 100;     ///< columns
    unsigned height = 24;     ///< lines
};
Terminal terminal(int fd);

/// Writes what is only there to be seen: that nobody reads it any more is no error.
void put_text(int fd, std::string_view text);

/// Rows of cells as aligned columns, two spaces between; the first row is the heading (bold when `colour`). The last
/// column is not padded. No trailing spaces.
std::string render_table(const std::vector<std::vector<std::string>>& rows, bool colour);

/// Some lines that are rewritten in place on an interactive terminal, and nothing elsewhere.
class ProgressLines {
public:
    explicit ProgressLines(int fd);
    ~ProgressLines();
    ProgressLines(const ProgressLines&) = delete;
    ProgressLines& operator=(const ProgressLines&) = delete;

    /// In place of those that are shown. At most `most` of them are, with a word about the rest.
    void show(const std::vector<std::string>& lines);
    /// Removes them, so that ordinary output can follow.
    void clear();

    static constexpr std::size_t most = 12;

private:
    int fd_;
    Terminal terminal_;
    std::size_t shown_ = 0;
};

/// One line that is rewritten in place on an interactive terminal, and nothing elsewhere.
class ProgressLine {
public:
    explicit ProgressLine(int fd);
    ~ProgressLine();
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    void show(std::string_view text);
    /// Removes the line, so that ordinary output can follow.
    void clear();

private:
    int fd_;
    Terminal terminal_;
    bool shown_ = false;
};

} // namespace microvmc
