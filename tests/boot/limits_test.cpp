// Limits of what a machine may use, on a kernel whose cgroup v2 has all controllers: a guest's. In it runs what
// tests/supervisor has for them, from the host's own root.

#include "tests/boot/guest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microvmc::boot {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(OneMachine, LimitsHold) {
    apply("mem = \"768MiB\"\nroot.host = true\ncommand = [\"sleep\", \"infinity\"]\n"
          "volumes.data = { size = \"64MiB\", mount-point = \"/mnt\" }\n");
    const std::string out = guest("cd /mnt && " + std::string(TEST_BINARY_DIR) +
                                  "/tests/test_supervisor --gtest_filter='LimitsOf.*'");
    EXPECT_THAT(out, HasSubstr("[  PASSED  ] 5 tests"));
    EXPECT_THAT(out, HasSubstr("[  SKIPPED ] LimitsOf.WhereTheyCannotBeSetNothingStarts"));
    EXPECT_THAT(out, Not(HasSubstr("FAILED"))) << out;
}

} // namespace microvmc::boot
