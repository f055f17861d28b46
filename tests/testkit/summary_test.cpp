#include "testkit/summary.h"

#include "runtime/files.h"
#include "tests/testkit/sample_report.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>

namespace microvmc::testkit {
namespace {

TEST(Summary, IsAsExpected) {
    const std::string path = TEST_SOURCE_DIR "/tests/golden/testkit/summary.txt";
    const std::string text = summary_text(sample_report(), {.width = 100, .height = 24, .colour = false});
    if (std::getenv("MICROVMC_UPDATE_GOLDEN") != nullptr) { std::ofstream(path) << text; }
    EXPECT_EQ(read_file(path).value_or(""), text);
}

TEST(Summary, NothingOfItDrivesATerminal) {
    std::string text = summary_text(hostile_report(), {.width = 100, .height = 24, .colour = false});
    for (const CaseResult& result : hostile_report().results) { text += case_line(result, false) + "\n"; }
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        ASSERT_TRUE(byte >= 0x20 || c == '\n' || c == '\t') << int(byte);
        ASSERT_NE(byte, 0x7F);
    }
    EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos); // nor turns it round
}

TEST(Summary, ALineACase) {
    const RunReport report = sample_report();
    EXPECT_EQ(case_line(report.results[0], false), "ok   boot on qemu:tcg (2.2 s)");
    EXPECT_EQ(case_line(report.results[1], false), "ok   boot on qemu:kvm vmlinux-6.12 (2.4 s, attempt 2)");
    EXPECT_EQ(case_line(report.results[2], false), "skip boot on firecracker: firecracker is not installed");
    EXPECT_EQ(case_line(report.results[3], false),
              "FAIL volumes[fs=ext4,format=raw] on qemu:tcg (1.4 s): wrong: step 1: "
              "expected 3, got 4 at specs/volumes.toml:31:1");
    EXPECT_EQ(case_line(report.results[0], true), "\x1b[32mok\x1b[0m   boot on qemu:tcg (2.2 s)");
}

TEST(Summary, ARunOfNothingSaysSo) {
    RunReport report = sample_report();
    std::erase_if(report.results, [](const CaseResult& result) { return result.outcome != Outcome::skipped; });
    const std::string text = summary_text(report, {});
    EXPECT_NE(text.find("6 skipped in 83.4 s.\nNothing ran.\n"), std::string::npos) << text;
    report.results.clear();
    report.duration_ms = 2;
    EXPECT_EQ(summary_text(report, {}), "\n\n0 passed in 2 ms.\nNothing ran.\n");
}

} // namespace
} // namespace microvmc::testkit
