#include "testkit/readable.h"

#include <gtest/gtest.h>

namespace microvmc::testkit {
namespace {

TEST(Readable, ALineStaysOne) {
    EXPECT_EQ(readable_line("a\nb\tc\r\x1b[31m\x7f"), "a\\nb\\tc\\r\\x1b[31m\\x7f");
    EXPECT_EQ(readable_line("h\xc3\xa4t \xef\xbf\xbe\xef\xbf\xbf \xff"),
              "h\xc3\xa4t \xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD");
}

TEST(Readable, TextKeepsItsLinesAndLosesItsColours) {
    EXPECT_EQ(readable_text("one\r\ntwo\tx\r\r\n\x1b[1;32mok\x1b[0m\x1b[2J\n"), "one\ntwo\tx\nok\n");
    EXPECT_EQ(readable_text("over\rwritten\r"), "over\\rwritten");
    EXPECT_EQ(readable_text("\x1b[31"), "\\x1b[31"); // no end
    EXPECT_EQ(readable_text("\x1b]0;title\x07\x1b"), "\\x1b]0;title\\x07\\x1b");
    EXPECT_EQ(readable_text(""), "");
    EXPECT_EQ(readable_text("\x1b[\xff"), "\\x1b[\xEF\xBF\xBD");
}

TEST(Readable, TimesAreShort) {
    EXPECT_EQ(readable_time(0), "0 ms");
    EXPECT_EQ(readable_time(99), "99 ms");
    EXPECT_EQ(readable_time(1'849), "1.8 s");
    EXPECT_EQ(readable_time(99'949), "99.9 s");
    EXPECT_EQ(readable_time(99'950), "1m 40s");
    EXPECT_EQ(readable_time(123'400), "2m 03s");
    EXPECT_EQ(readable_time(3'599'600), "1h 00m");
    EXPECT_EQ(readable_time(7'500'000), "2h 05m");
}

} // namespace
} // namespace microvmc::testkit
