#include "runtime/supervisor/cgroup.h"
#include "runtime/supervisor/end.h"
#include "runtime/supervisor/text.h"

#include <gtest/gtest.h>

// The pure parts.

namespace microvmc::supervisor {

TEST(TextWatch, FindsAcrossPieces) {
    const std::string text = "needle";
    for (std::size_t at = 0; at <= text.size(); ++at) {
        TextWatch watch(text);
        const bool before = watch.feed("xx" + text.substr(0, at));
        EXPECT_EQ(before || watch.feed(text.substr(at) + "yy"), true) << at;
    }
    TextWatch watch(text);
    for (const char c : std::string("needneedl")) { EXPECT_FALSE(watch.feed(std::string(1, c))); }
    EXPECT_TRUE(watch.feed("e"));
    EXPECT_FALSE(watch.feed("x"));
    watch.feed("nee");
    watch.reset();
    EXPECT_FALSE(watch.feed("dle"));
    EXPECT_FALSE(TextWatch("").feed("anything"));
}

TEST(Tail, KeepsTheLastBytes) {
    Tail tail(4);
    for (const char c : std::string("abcdefghijk")) { tail.feed(std::string(1, c)); }
    EXPECT_TRUE(tail.text().ends_with("hijk"));
    EXPECT_LE(tail.text().size(), 8U);
    tail.feed("0123456789");
    EXPECT_EQ(tail.text(), "6789");
}

TEST(LastLines, AreOneLine) {
    EXPECT_EQ(last_lines("one\ntwo\r\n\n  \nthree\n", 2), "two; three");
    EXPECT_EQ(last_lines("\x1b[31mred\x07", 3), "[31mred");
    EXPECT_EQ(last_lines("", 3), "");
    EXPECT_EQ(last_lines(std::string(5000, 'x'), 1).size(), 1024U);
}

TEST(OwnCgroup, IsFoundInEveryLayout) {
    const std::string unified = "24 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const std::string hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                               "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    EXPECT_EQ(own_cgroup(unified, "0::/user.slice/a.scope\n"), "/sys/fs/cgroup/user.slice/a.scope");
    EXPECT_EQ(own_cgroup(hybrid, "1:cpu:/x\n0::/\n"), "/sys/fs/cgroup/unified");
    EXPECT_EQ(own_cgroup("24 1 0:22 /box /mnt/c\\040g rw - cgroup2 c rw\n", "0::/box/in\n"), "/mnt/c g/in");
    EXPECT_EQ(own_cgroup("24 1 0:22 /box /mnt rw - cgroup2 c rw\n", "0::/boxer\n"), std::nullopt);
    EXPECT_EQ(own_cgroup(hybrid, "1:cpu:/x\n"), std::nullopt);
    EXPECT_EQ(own_cgroup("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "0::/\n"), std::nullopt);
}

TEST(CgroupName, HasNoSurprises) {
    EXPECT_EQ(cgroup_name_of("shop", "web-1", "/run/x"), "microvmc-9640d208-shop-web-1");
    EXPECT_EQ(cgroup_name_of("a/b", "../x\n", "/run/x"), "microvmc-9640d208-a_b-.._x_");
    EXPECT_LE(cgroup_name_of(std::string(300, 'a'), "b", "/run/x").size(), 255U);
    EXPECT_NE(cgroup_name_of("shop", "web-1", "/run/y"), cgroup_name_of("shop", "web-1", "/run/x"));
}

TEST(DecideEnd, OrdersTheEvidence) {
    Evidence evidence;
    evidence.has_agent = true;
    evidence.wait_status = 1 << 8;
    evidence.last_words = "oops";
    EXPECT_EQ(decide_end(evidence), (End{End::Kind::vmm_crash, 1, "the VMM exited with status 1: oops"}));
    evidence.killed = true;
    evidence.kill_reason = "why";
    EXPECT_EQ(decide_end(evidence), (End{End::Kind::killed, 0, "why"}));
    evidence.out_of_time = true;
    EXPECT_EQ(decide_end(evidence), (End{End::Kind::timed_out, 0, "why"}));
    evidence.panic = "Kernel panic - not syncing: x";
    EXPECT_EQ(decide_end(evidence).kind, End::Kind::panic);
    evidence.reported = End{End::Kind::exited, 4, ""};
    EXPECT_EQ(decide_end(evidence), (End{End::Kind::exited, 4, ""}));
    evidence.start_failed = true;
    evidence.failed = "no volume";
    EXPECT_EQ(decide_end(evidence), (End{End::Kind::start_failed, 0, "no volume"}));
}

TEST(DecideEnd, AVmmThatWasAskedAndEndsWellPoweredOff) {
    Evidence evidence;
    evidence.has_agent = true;
    EXPECT_EQ(decide_end(evidence).kind, End::Kind::vmm_crash);
    evidence.asked = true;
    EXPECT_EQ(decide_end(evidence).kind, End::Kind::poweroff);
    evidence.asked = false;
    evidence.has_agent = false;
    EXPECT_EQ(decide_end(evidence).kind, End::Kind::poweroff);
    evidence.wait_status = 9; // a signal
    EXPECT_EQ(decide_end(evidence).status, 137);
}

} // namespace microvmc::supervisor
