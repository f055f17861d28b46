#include "testkit/coverage_text.h"

#include "compiler/text.h"
#include "tests/testkit/sample_report.h"

#include <gtest/gtest.h>
#include <sstream>

namespace microvmc::testkit {
namespace {

TEST(CoverageText, NamesWhatIsUnproven) {
    const std::vector<CoverageCell> found = unproven(sample_report().coverage);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].capability, "volume.raw");
    EXPECT_EQ(found[0].hypervisor, "qemu");
    EXPECT_TRUE(unproven({}).empty());
}

TEST(CoverageText, IsATableOfHypervisors) {
    EXPECT_EQ(coverage_text(sample_report().coverage, {.width = 80, .height = 24, .colour = false}),
              R"(CAPABILITY  qemu                 firecracker
accel.tcg   boot                 -
accel.kvm   excused              -
volume.raw  UNPROVEN             excused
share.9p    shares[proto=9p] +1  * excused
* bridged: microvmc supplies what the hypervisor lacks

Excused on this host:
  qemu: KVM can't run cmpxchg16b here (accel.kvm)
  firecracker: firecracker is not installed (volume.raw, share.9p)

Coverage: 2 of 6 claims proven, 3 excused, 1 unproven.
)");
    EXPECT_EQ(coverage_text({{"volume.raw", "qemu", "native", {"volumes"}, ""}}, {}),
              "CAPABILITY  qemu\nvolume.raw  volumes\n\nCoverage: 1 of 1 claims proven.\n");
}

TEST(CoverageText, TellsProvenFromUnprovenHoweverNarrow) {
    const std::string text = coverage_text(sample_report().coverage, {.width = 10, .height = 24, .colour = false});
    EXPECT_NE(text.find("UNPROVEN"), std::string::npos) << text;
    EXPECT_NE(text.find("shares[p.."), std::string::npos) << text;
}

TEST(CoverageText, FitsWhereItCan) {
    std::istringstream text(coverage_text(hostile_report().coverage, {.width = 40, .height = 24, .colour = false}));
    std::string line;
    for (std::getline(text, line); !line.starts_with("* bridged"); std::getline(text, line)) {
        ASSERT_TRUE(text);
        EXPECT_LE(display_width(line), 40U) << line;
    }
}

} // namespace
} // namespace microvmc::testkit
