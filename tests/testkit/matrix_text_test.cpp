#include "testkit/matrix_text.h"

#include "compiler/text.h"
#include "testkit/cells.h"
#include "tests/testkit/sample_report.h"

#include <gtest/gtest.h>

namespace microvmc::testkit {
namespace {

std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) { text += line + "\n"; }
    return text;
}

TEST(Cells, AreCutToWhatFits) {
    EXPECT_EQ(fitted("firecracker", 11), "firecracker");
    EXPECT_EQ(fitted("firecracker", 10), "firecrac..");
    EXPECT_EQ(fitted("日本語日本語", 8), "日本語..");
    EXPECT_EQ(fitted("日本語日本語", 7), "日本..");
    EXPECT_EQ(fitted("abc", 2), "..");
    EXPECT_EQ(fitted("abc", 1), ".");
    EXPECT_EQ(fitted("abc", 0), "");
}

TEST(Cells, StandInColumnsWhateverTheirColoursAndCharacters) {
    const std::vector<std::vector<Cell>> rows{
        {{"a"}, {"b", style::bad}, {""}, {"end"}}, {{"日本"}, {"long"}, {"x"}}, {{"c"}, {""}}};
    EXPECT_EQ(joined(aligned(rows, {}, false)), "a     b        end\n日本  long  x\nc\n");
    EXPECT_EQ(joined(aligned(rows, {}, true)), "a     \x1b[1;31mb\x1b[0m        end\n日本  long  x\nc\n");
    EXPECT_EQ(joined(aligned(rows, {2, 3}, false)), "a   b       end\n..  l..  x\nc\n");
}

Canvas canvas(unsigned width, unsigned height = 50) {
    return {.width = width, .height = height, .colour = false};
}

TEST(Matrix, SaysLessWhereThereIsLessRoom) {
    const Tally tally = tally_of(sample_report());
    EXPECT_EQ(joined(matrix_lines(tally, canvas(80))),
              R"(         qemu:tcg               qemu:kvm vmlinux-6.12  firecracker
boot     1 ok, 2.2 s            1 ok, 2.4 s            skip
volumes  1 FAIL, 1 skip, 1.4 s  1 ok, 1 skip, 0.3 s    skip
ends     2 FAIL, 63.1 s         2 FAIL, 0.9 s          skip
)");
    EXPECT_EQ(joined(matrix_lines(tally, canvas(62))), R"(         qemu:tcg        qemu:kvm vmlinux-6.12  firecracker
boot     1 ok            1 ok                   skip
volumes  1 FAIL, 1 skip  1 ok, 1 skip           skip
ends     2 FAIL          2 FAIL                 skip
)");
    EXPECT_EQ(joined(matrix_lines(tally, canvas(50))), R"(         qemu:tcg        qemu:kvm v..  firecracker
boot     1 ok            1 ok          skip
volumes  1 FAIL, 1 skip  1 ok, 1 skip  skip
ends     2 FAIL          2 FAIL        skip
)");
    EXPECT_EQ(joined(matrix_lines(tally, canvas(44))), R"(         qemu:tcg  qemu:kvm v..  firecracker
boot     1 ok      1 ok          skip
volumes  1 FAIL    1 ok          skip
ends     2 FAIL    2 FAIL        skip
)");
    EXPECT_EQ(joined(matrix_lines(tally, canvas(28))), R"(         qem..  qem..  fir..
boot     1      1      skip
volumes  1!     1      skip
ends     2!     2!     skip
)");
    // Columns that don't fit stand below.
    EXPECT_EQ(joined(matrix_lines(tally, canvas(22))), R"(         qem..  qem..
boot     1      1
volumes  1!     1
ends     2!     2!
         fir..
boot     skip
volumes  skip
ends     skip
)");
}

TEST(Matrix, FitsEveryWidth) {
    for (const RunReport& report : {sample_report(), hostile_report()}) {
        for (unsigned width = 18; width < 200; ++width) {
            for (const std::string& line : matrix_lines(tally_of(report), canvas(width))) {
                EXPECT_LE(display_width(line), width) << line;
            }
        }
        for (unsigned width = 0; width < 18; ++width) { matrix_lines(tally_of(report), canvas(width)); }
    }
    EXPECT_TRUE(matrix_lines({}, canvas(80)).empty());
}

Tally half_way(Clock::time_point begin) {
    const RunReport report = sample_report();
    std::vector<Planned> cases;
    for (const CaseResult& result : report.results) { cases.push_back({result.spec, result.name, result.target}); }
    Tally tally;
    tally.begin(report.targets, cases, begin);
    for (std::size_t i = 0; i < 5; ++i) {
        if (report.results[i].outcome != Outcome::skipped) { tally.started(cases[i], begin); }
        tally.finished(report.results[i]);
    }
    tally.started(cases[6], begin + std::chrono::seconds(3));
    tally.started(cases[9], begin + std::chrono::seconds(62));
    return tally;
}

TEST(Live, ShowsWhatRunsAndHowLong) {
    const Clock::time_point begin;
    EXPECT_EQ(joined(live_lines(half_way(begin), begin + std::chrono::milliseconds(65'400), canvas(80))),
              R"(\  1:05  5 of 14 done  1 failed  1 skipped  2 running
         qemu:tcg     qemu:kvm vmlinux-6.12  firecracker
boot     1 ok, 2.2 s  1 ok, 2.4 s            skip
volumes  1/2, 1 FAIL  1/2                    0/2
ends     0/2          0/2                    0/1
1:02  volumes[fs=xfs,format=raw] on qemu:tcg
0:03  ends[ending=panic] on qemu:tcg
)");
}

TEST(Live, FitsEveryTerminal) {
    const Clock::time_point begin;
    Tally tally = half_way(begin);
    for (int i = 0; i < 40; ++i) { tally.specs.push_back({"spec" + std::to_string(i), tally.specs[2].counts}); }
    for (unsigned height = 1; height < 60; ++height) {
        for (const unsigned width : {18U, 40U, 80U, 160U}) {
            const std::vector<std::string> lines =
                live_lines(tally, begin + std::chrono::hours(2), canvas(width, height));
            EXPECT_LT(lines.size(), std::max(height, 3U));
            for (const std::string& line : lines) { EXPECT_LE(display_width(line), width) << line; }
        }
    }
    const std::string text = joined(live_lines(tally, begin + std::chrono::hours(2), canvas(80, 10)));
    EXPECT_NE(text.find("\nvolumes  1/2, 1 FAIL"), std::string::npos) << text; // it runs
    EXPECT_NE(text.find("and 39 more"), std::string::npos) << text;
}

TEST(Tally, CountsWhatWasNotAnnounced) {
    // A repetition, or a target that nobody planned, is no reason to miscount.
    Tally tally;
    CaseResult result = sample_report().results[0];
    tally.finished(result);
    tally.finished(result);
    result.target = "other";
    tally.finished(result);
    EXPECT_EQ(tally.sum().done(), 3U);
    EXPECT_EQ(tally.sum().total(), 3U);
    EXPECT_EQ(tally.sum().running, 0U);
    EXPECT_EQ(tally.targets, (std::vector<std::string>{"qemu:tcg", "other"}));
}

} // namespace
} // namespace microvmc::testkit
