#include "testkit/planning.h"

#include <gmock/gmock.h>

// Which cases are for which targets.

namespace microvmc::testkit {
namespace {

using ::testing::HasSubstr;

Case proving(std::vector<std::string> capabilities) {
    Case which;
    which.spec = "s";
    which.proves = std::move(capabilities);
    return which;
}

const Target on_qemu = [] {
    Target target;
    target.hypervisor = "qemu";
    target.accel = "tcg";
    return target;
}();

} // namespace

TEST(Refused, ACaseThatCanProveNothing) {
    const auto refusal = refused(proving({"share.image", "share.dax"}), on_qemu, {}, {}, {});
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->verdict.outcome, Outcome::skipped);
    EXPECT_THAT(refusal->verdict.message, HasSubstr("it has shares"));
}

TEST(Refused, NotOneThatCanProveSome) {
    EXPECT_FALSE(refused(proving({"share.image", "volume.raw"}), on_qemu, {}, {}, {}));
    EXPECT_FALSE(refused(proving({}), on_qemu, {}, {}, {})) << "it isn't about what a hypervisor has";
}

TEST(Refused, NeitherWhatTheHostKeepsItFrom) {
    Target target = on_qemu;
    target.hypervisor = "cloud-hypervisor";
    HostFacts facts;
    EXPECT_FALSE(refused(proving({}), target, {{"snapshot", {}}}, {}, facts));
    facts.kvm.nested_state = false;
    const auto refusal = refused(proving({}), target, {{"snapshot", {}}}, {}, facts);
    ASSERT_TRUE(refusal);
    EXPECT_THAT(refusal->verdict.message, HasSubstr("nested state"));
}

} // namespace microvmc::testkit
