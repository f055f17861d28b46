#include "compiler/digest.h"
#include "compiler/identity.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unordered_set>

namespace microvmc {
namespace {

TEST(Digest, IsSha256) {
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); // FIPS 180-4
}

TEST(Identity, OfAHundredThousandMachinesNoTwoAreTheSame) {
    std::unordered_set<std::string> macs;
    std::unordered_set<std::string> uuids;
    std::unordered_set<std::string> taps;
    for (int i = 0; i < 100'000; ++i) {
        const std::string vm = fmt::format("web-{}", i);
        const std::string mac = derived_mac("shop", vm, "lan");
        ASSERT_TRUE(macs.insert(mac).second) << vm;
        ASSERT_TRUE(taps.insert(derived_tap(mac)).second) << vm;
        ASSERT_LE(derived_tap(mac).size(), 15U); // IFNAMSIZ, less its NUL
        ASSERT_TRUE(uuids.insert(derived_uuid("shop", vm, "data")).second) << vm;
        ASSERT_TRUE(std::string("26ae").find(mac[1]) != std::string::npos) << mac << ": locally administered, unicast";
    }
}

TEST(Identity, PartsDontRunTogether) {
    EXPECT_NE(derived_mac("a", "bc", "d"), derived_mac("ab", "c", "d"));
    EXPECT_NE(derived_mac("a", "b", "cd"), derived_mac("a", "bc", "d"));
    EXPECT_EQ(derived_mac("a", "b", "c"), derived_mac("a", "b", "c"));
}

TEST(Identity, TagsAreShort) {
    EXPECT_EQ(derived_tag("data", 20), "data");
    const std::string one = derived_tag("a-volume-with-a-long-name-1", 20);
    const std::string two = derived_tag("a-volume-with-a-long-name-2", 20);
    EXPECT_EQ(one.size(), 20U);
    EXPECT_NE(one, two);
    EXPECT_TRUE(one.starts_with("a-volume-wi-"));
}

TEST(Identity, PortsAreInTheirRange) {
    for (int i = 0; i < 1000; ++i) {
        const auto port = derived_port("p", fmt::format("v{}", i), "f", "tcp");
        EXPECT_GE(port, 20000);
        EXPECT_LE(port, 29999);
    }
}

TEST(Identity, AnotherKernelFileHasAnotherPin) {
    KernelFacts kernel;
    kernel.path = "/boot/vmlinuz-6.1";
    kernel.release = "6.1";
    kernel.identity = {1, 2, 3, 4};
    const std::string name = pin_name(kernel);
    EXPECT_TRUE(name.starts_with("6.1-"));
    EXPECT_EQ(name.size(), 4U + 16U);
    kernel.identity.mtime_ns = 5;
    EXPECT_NE(pin_name(kernel), name);
}

} // namespace
} // namespace microvmc
