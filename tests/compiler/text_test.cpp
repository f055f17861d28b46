#include "compiler/text.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace microvmc {
namespace {

using namespace std::string_view_literals;

TEST(Size, IsBinaryAndHasAUnit) {
    std::string problem;
    EXPECT_EQ(parse_size("512MiB", problem), 512);
    EXPECT_EQ(parse_size("512M", problem), 512);
    EXPECT_EQ(parse_size("4GiB", problem), 4096);
    EXPECT_EQ(parse_size("4G", problem), 4096);
    EXPECT_EQ(parse_size("1TiB", problem), 1048576);
    for (const auto* wrong :
         {"", "512", "1GB", "1MB", "-1GiB", "+1GiB", " 1GiB", "1 GiB", "1gib", "0x10M", "99999999999999999999M"}) {
        EXPECT_FALSE(parse_size(wrong, problem)) << wrong;
        EXPECT_FALSE(problem.empty());
    }
    EXPECT_EQ(format_size(512), "512MiB");
    EXPECT_EQ(format_size(4096), "4GiB");
    EXPECT_EQ(format_size(1536), "1536MiB");
    EXPECT_EQ(format_size(0), "0MiB");
}

TEST(Duration, GreaterUnitsFirst) {
    std::string problem;
    EXPECT_EQ(parse_duration("1m30s", problem), 90'000);
    EXPECT_EQ(parse_duration("2h", problem), 7'200'000);
    EXPECT_EQ(parse_duration("500ms", problem), 500);
    EXPECT_EQ(parse_duration("1s500ms", problem), 1500);
    for (const auto* wrong : {"", "90", "30s1m", "1m1m", "1d", "-1s", "1.5s", "s", "9999999999999999999s"}) {
        EXPECT_FALSE(parse_duration(wrong, problem)) << wrong;
    }
    EXPECT_EQ(format_duration(150'000), "2m30s");
    EXPECT_EQ(format_duration(0), "0s");
    EXPECT_EQ(format_duration(3'600'001), "1h1ms");
}

TEST(Nearest, FindsWhatWasMistyped) {
    constexpr std::array words = {"vcpu"sv, "mem"sv, "kernel-params"sv, "hypervisor"sv};
    EXPECT_EQ(nearest("vpcu", words), "vcpu");
    EXPECT_EQ(nearest("vcpus", words), "vcpu");
    EXPECT_EQ(nearest("VCPU", words), "vcpu");
    EXPECT_EQ(nearest("kernel_params", words), "kernel-params");
    EXPECT_EQ(nearest("hipervisro", words), "hypervisor");
    EXPECT_EQ(nearest("flavour", words), "");
    EXPECT_EQ(nearest("x", words), "");
    EXPECT_EQ(nearest(std::string(100'000, 'v'), words), "");
}

TEST(Printable, NothingDrivesATerminal) {
    EXPECT_EQ(printable("a\x1b[2J\x07\x7f"), "a\\x1b[2J\\x07\\x7f");
    EXPECT_EQ(printable("a\nb\tc\r"), "a\\nb\\tc\\r");
    EXPECT_EQ(printable("\xc2\x9b"
                        "31m"),
              "\\u009b31m")
        << "C1's CSI";
    EXPECT_EQ(printable("\xe2\x80\xae"), "\\u202e") << "right-to-left override";
    EXPECT_EQ(printable("h\xc3\xa4t"), "h\xc3\xa4t");
    EXPECT_EQ(printable("\xff"), "\xef\xbf\xbd");
}

TEST(DisplayWidth, WideAndCombiningCharacters) {
    EXPECT_EQ(display_width("abc"), 3U);
    EXPECT_EQ(display_width("\xe6\x97\xa5\xe6\x9c\xac"), 4U);
    EXPECT_EQ(display_width("e\xcc\x81"), 1U);
}

TEST(AbsolutePath, IsLexicallyNormal) {
    EXPECT_EQ(absolute_path("/home/me", "www"), "/home/me/www");
    EXPECT_EQ(absolute_path("/home/me", "./a//b/../c/"), "/home/me/a/c");
    EXPECT_EQ(absolute_path("/home/me", "../../../.."), "/");
    EXPECT_EQ(absolute_path("/home/me", "/etc/./x"), "/etc/x");
    EXPECT_EQ(absolute_path("/", "a"), "/a");
}

TEST(ShellQuoted, ComesBackFromAShell) {
    for (const std::string& argument :
         {std::string("plain-1.2/x"), std::string(""), std::string("two words"), std::string("it's"),
          std::string("$HOME `id` \\ \""), std::string("a\x1b[2J\nb'\\"), std::string("h\xc3\xa4t"),
          std::string("\xff\xfe"), std::string("\xe2\x80\xae"), std::string("~"), std::string("*")}) {
        const std::string quoted = shell_quoted(argument);
        for (const char c : quoted) { EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << quoted; }
        const std::string command = "bash -c " + shell_quoted("printf %s " + quoted);
        FILE* pipe = ::popen(command.c_str(), "r");
        ASSERT_NE(pipe, nullptr);
        std::string out(64, '\0');
        out.resize(std::fread(out.data(), 1, out.size(), pipe));
        ::pclose(pipe);
        EXPECT_EQ(out, argument) << quoted;
    }
}

} // namespace
} // namespace microvmc
