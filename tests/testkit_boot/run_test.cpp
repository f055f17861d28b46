#include "tests/testkit_boot/cases.h"

#include <gmock/gmock.h>

// Runs of cases on real guests.

namespace microvmc::testkit {

using ::testing::HasSubstr;

class Runs : public CasesTest {};

TEST_F(Runs, PassAndFailRightly) {
    add("right", "[vm.a]\nmem = 256\n").steps = {guest("echo one two", "one two")};
    add("wrong", "[vm.a]\nmem = 256\n").steps = {guest("true"), guest("echo 4", "3")};
    const RunReport report = run();
    const CaseResult& right = result_of(report, "right");
    EXPECT_EQ(right.outcome, Outcome::passed) << right;
    const CaseResult& wrong = result_of(report, "wrong");
    EXPECT_EQ(wrong.outcome, Outcome::wrong) << wrong;
    EXPECT_EQ(wrong.message, "step 2: expected \"3\", got \"4\"");
    EXPECT_FALSE(wrong.command_lines.empty());
    EXPECT_EQ((right.boot_ms == 0) + (wrong.boot_ms == 0), 1) << "they share a boot";
}

} // namespace microvmc::testkit
