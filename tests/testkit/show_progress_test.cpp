#include "testkit/show_progress.h"

#include "runtime/fd.h"
#include "testkit/summary.h"
#include "tests/testkit/sample_report.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>

namespace microvmc::testkit {
namespace {

/// A terminal as far as it is used: lines that break at its width, the cursor, clearing.
class Screen {
public:
    explicit Screen(std::size_t width) : width_(width) {}
    void resize(std::size_t width) { // lines of the old width break anew
        std::vector<std::string> old = std::move(lines_);
        lines_ = {};
        for (std::string& line : old) {
            do {
                lines_.push_back(line.substr(0, width));
                line.erase(0, lines_.back().size());
            } while (!line.empty());
        }
        row_ = lines_.size() - 1;
        column_ = lines_.back().size();
        width_ = width;
    }
    void take(std::string_view bytes) {
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            if (bytes[i] == '\x1b') {
                const std::size_t end = bytes.find_first_of("AJKm", i);
                ASSERT_NE(end, std::string_view::npos) << bytes.substr(i);
                sequence(bytes.substr(i + 2, end - i - 2), bytes[end]);
                i = end;
            } else if (bytes[i] == '\r') {
                column_ = 0;
            } else if (bytes[i] == '\n') {
                ++row_;
                lines_.resize(std::max(lines_.size(), row_ + 1));
            } else {
                put(bytes[i]);
            }
        }
    }
    [[nodiscard]] std::string text() const {
        std::string all;
        for (const std::string& line : lines_) { all += line.substr(0, line.find_last_not_of(' ') + 1) + "\n"; }
        all.erase(all.find_last_not_of('\n') + 1); // lines that were cleared are none
        return all;
    }

private:
    void put(char c) {
        if (column_ == width_) {
            column_ = 0;
            ++row_;
            lines_.resize(std::max(lines_.size(), row_ + 1));
        }
        std::string& line = lines_[row_];
        line.resize(std::max(line.size(), column_ + 1), ' ');
        line[column_++] = c;
    }
    void sequence(std::string_view parameters, char final) {
        if (final == 'A') {
            const std::size_t up = static_cast<std::size_t>(std::atoi(std::string(parameters).c_str()));
            ASSERT_LE(up, row_);
            row_ -= up;
        }
        if (final == 'K' || final == 'J') { lines_[row_].resize(std::min(lines_[row_].size(), column_)); }
        if (final == 'J') { lines_.resize(row_ + 1); }
    }

    std::size_t width_;
    std::size_t row_ = 0;
    std::size_t column_ = 0;
    std::vector<std::string> lines_{""};
};

/// A pseudoterminal, and what came to its other side.
class Pty {
public:
    Pty(unsigned short width, unsigned short height) {
        control_ = Fd(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
        ::grantpt(control_.get());
        ::unlockpt(control_.get());
        terminal_ = Fd(::open(::ptsname(control_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
        resize(width, height);
    }
    void resize(unsigned short width, unsigned short height) const {
        const winsize size{height, width, 0, 0};
        ::ioctl(terminal_.get(), TIOCSWINSZ, &size);
    }
    [[nodiscard]] int fd() const { return terminal_.get(); }
    [[nodiscard]] std::string said() const {
        std::string all;
        std::array<char, 4096> buffer{};
        for (ssize_t got = 0; (got = ::read(control_.get(), buffer.data(), buffer.size())) > 0;) {
            all.append(buffer.data(), static_cast<std::size_t>(got));
        }
        return all;
    }

private:
    Fd control_;
    Fd terminal_;
};

class ShowProgress : public ::testing::Test {
protected:
    void SetUp() override {
        ::setenv("TERM", "xterm", 1);
        ::unsetenv("NO_COLOR");
        for (const CaseResult& result : report_.results) {
            cases_.push_back({result.spec, result.name, result.target});
        }
    }
    const RunReport report_ = sample_report();
    std::vector<Planned> cases_;
};

TEST_F(ShowProgress, OnATerminalOnlyFailuresAndTheSummaryStay) {
    const Pty pty(90, 24);
    Screen screen(90);
    const std::unique_ptr<Progress> progress = show_progress(pty.fd(), false, true);
    progress->begin(report_.targets, cases_);
    std::string expected;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
        if (report_.results[i].outcome != Outcome::skipped) { progress->started(cases_[i]); }
        progress->tick();
        progress->finished(report_.results[i]);
        progress->tick();
        screen.take(pty.said());
        const Outcome outcome = report_.results[i].outcome;
        if (outcome != Outcome::passed && outcome != Outcome::skipped) {
            expected += case_line(report_.results[i], false) + "\n";
        }
        EXPECT_NE(screen.text().find(" of 14 done"), std::string::npos);
    }
    progress->end(report_);
    screen.take(pty.said());
    Screen still(90);
    expected += summary_text(report_, {.width = 90, .height = 24, .colour = false});
    for (std::size_t at = 0; (at = expected.find('\n', at)) != std::string::npos; at += 2) {
        expected.insert(at, "\r");
    }
    still.take(expected);
    EXPECT_EQ(screen.text(), still.text());
    EXPECT_EQ(screen.text().find(" of 14 done"), std::string::npos);
}

TEST_F(ShowProgress, ATerminalMayBecomeNarrower) {
    const Pty pty(100, 24);
    Screen screen(100);
    const std::unique_ptr<Progress> progress = show_progress(pty.fd(), false, false);
    progress->begin(report_.targets, cases_);
    progress->started(cases_[0]);
    progress->tick();
    screen.take(pty.said());
    for (const unsigned short width : std::array<unsigned short, 4>{40, 25, 90, 30}) {
        pty.resize(width, 24);
        screen.resize(width);
        progress->tick();
        screen.take(pty.said());
        const std::string text = screen.text();
        EXPECT_EQ(text.find(" of 14 done"), text.rfind(" of 14 done")) << text; // no remains of the one before
        EXPECT_LT(text.find(" of 14 done"), text.find('\n')) << text;
        EXPECT_EQ(text.find("boot on qemu:tcg"), text.rfind("boot on qemu:tcg")) << text;
    }
    progress->suspend();
    screen.take(pty.said());
    EXPECT_EQ(screen.text(), "");
}

TEST_F(ShowProgress, WithoutATerminalThereIsALineACase) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    const Fd read_end(ends[0]);
    const Fd write_end(ends[1]);
    const std::unique_ptr<Progress> progress = show_progress(write_end.get(), false, true);
    progress->begin(report_.targets, cases_);
    std::string expected;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
        progress->started(cases_[i]);
        progress->tick();
        progress->finished(report_.results[i]);
        expected += case_line(report_.results[i], false) + "\n";
    }
    progress->end(report_);
    expected += summary_text(report_, {.width = 100, .height = 24, .colour = false});
    std::string said(65'536, '\0');
    said.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(read_end.get(), said.data(), said.size()))));
    EXPECT_EQ(said, expected);
}

TEST_F(ShowProgress, AReaderThatLeftIsNoError) {
    ::signal(SIGPIPE, SIG_IGN);
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    ::close(ends[0]);
    const Fd write_end(ends[1]);
    const std::unique_ptr<Progress> progress = show_progress(write_end.get(), true, false);
    progress->begin(report_.targets, cases_);
    EXPECT_NO_THROW(progress->finished(report_.results[0]));
    EXPECT_NO_THROW(progress->end(report_));
}

} // namespace
} // namespace microvmc::testkit
