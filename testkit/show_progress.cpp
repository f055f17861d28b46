#include "testkit/show_progress.h"

#include "compiler/text.h"
#include "runtime/terminal.h"
#include "testkit/summary.h"

#include <fmt/format.h>

#include <algorithm>

namespace microvmc::testkit {

namespace {

using std::chrono::milliseconds;

Canvas canvas_of(int fd, bool colour) {
    const Terminal now = terminal(fd);
    return {.width = now.width, .height = now.height, .colour = colour && now.colour};
}

class Lines : public Progress {
public:
    Lines(int fd, bool colour) : fd_(fd), colour_(colour) {}
    void begin(const std::vector<Target>& /*targets*/, const std::vector<Planned>& /*cases*/) override {}
    void started(const Planned& /*which*/) override {}
    void finished(const CaseResult& result) override {
        put_text(fd_, case_line(result, canvas_of(fd_, colour_).colour) + "\n");
    }
    void tick() override {}
    void end(const RunReport& report) override { put_text(fd_, summary_text(report, canvas_of(fd_, colour_))); }

private:
    int fd_;
    bool colour_;
};

/// Columns of a line that has styles in it.
std::size_t columns(std::string_view line) {
    std::size_t width = display_width(line);
    for (std::size_t at = 0; (at = line.find('\x1b', at)) != std::string_view::npos; ++at) {
        width -= line.find('m', at) - at + 1;
    }
    return width;
}

/// A table that is drawn over the one before, line by line, in one write: nothing is blank in between.
class Live : public Progress {
public:
    Live(int fd, bool colour) : fd_(fd), colour_(colour) {}
    ~Live() override { erase(); }
    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;

    void begin(const std::vector<Target>& targets, const std::vector<Planned>& cases) override {
        tally_.begin(targets, cases, Clock::now());
        draw();
    }
    void started(const Planned& which) override { tally_.started(which, Clock::now()); }
    void finished(const CaseResult& result) override {
        tally_.finished(result);
        if (result.outcome == Outcome::passed || result.outcome == Outcome::skipped) { return; }
        above_ += case_line(result, canvas_of(fd_, colour_).colour) + "\x1b[K\n";
        draw();
    }
    void tick() override { draw(); }
    void suspend() override { erase(); }
    void end(const RunReport& report) override {
        erase();
        put_text(fd_, above_ + summary_text(report, canvas_of(fd_, colour_)));
        above_.clear();
    }

private:
    /// Lines that what is shown takes. A terminal that became narrower has broken lines of it in two.
    [[nodiscard]] std::size_t lines(unsigned width) const {
        std::size_t count = 0;
        for (const std::size_t each : shown_) { count += std::max<std::size_t>(1, (each + width - 1) / width); }
        return count;
    }
    /// To the first of so many lines, from the last one.
    static std::string home(std::size_t lines) { return lines < 2 ? "\r" : fmt::format("\r\x1b[{}A", lines - 1); }
    void erase() {
        if (shown_.empty()) { return; }
        // Line by line: some terminals keep a screen that is cleared from its top.
        const std::size_t count = lines(terminal(fd_).width);
        std::string out = home(count) + "\x1b[K";
        for (std::size_t i = 1; i < count; ++i) { out += "\n\x1b[K"; }
        put_text(fd_, out + home(count));
        shown_.clear();
    }
    void draw() {
        const Canvas canvas = canvas_of(fd_, colour_);
        std::string out = home(lines(canvas.width)) + above_;
        above_.clear();
        shown_.clear();
        for (const std::string& line : live_lines(tally_, Clock::now(), canvas)) {
            if (!shown_.empty()) { out += "\x1b[K\n"; }
            out += line;
            shown_.push_back(columns(line));
        }
        put_text(fd_, out + "\x1b[J");
    }

    int fd_;
    bool colour_;
    Tally tally_;
    std::string above_;              ///< lines that are to stay above the table
    std::vector<std::size_t> shown_; ///< columns of the lines that are there
};

} // namespace

std::unique_ptr<Progress> show_progress(int fd, bool plain, bool colour) {
    if (plain || !terminal(fd).interactive) { return std::make_unique<Lines>(fd, colour); }
    return std::make_unique<Live>(fd, colour);
}

} // namespace microvmc::testkit
