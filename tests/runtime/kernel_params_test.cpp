#include "runtime/kernel_params.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace microvmc::test {

namespace {

// What the kernel's next_arg() makes of a line (linux: lib/cmdline.c): the parameters, quotes taken off.
std::vector<std::string> as_the_kernel_reads(const std::string& line) {
    const auto is_space = [](char c) {
        return c == ' ' || (c >= '\t' && c <= '\r') || static_cast<unsigned char>(c) == 0xa0;
    };
    std::vector<std::string> params;
    for (std::size_t at = 0; at < line.size();) {
        if (is_space(line[at])) {
            ++at;
            continue;
        }
        std::string param;
        bool quoted = false;
        for (; at < line.size() && (quoted || !is_space(line[at])); ++at) {
            if (line[at] == '"') {
                quoted = !quoted;
            } else {
                param += line[at];
            }
        }
        params.push_back(param);
    }
    return params;
}

} // namespace

TEST(KernelParams, ArriveAsTheyWere) {
    const std::vector<std::string> params{
        "quiet",
        "a=b c",
        "comma=1,2,,3",
        "tab=a\tb",
        "newline=a\nb",
        "percent=%s%%",
        "equals=a=b",
        "=",
        "'single'",
        "back\\slash",
        "h\xc3\xa4t",   // ä
        "voil\xc3\xa0", // à ends with 0xa0
        "\xe2\x82\xac=\xe2\x82\xac",
        "--flag", // €
    };
    const auto line = kernel_command_line(params);
    ASSERT_TRUE(line);
    EXPECT_EQ(as_the_kernel_reads(*line), params);
}

TEST(KernelParams, AreQuotedOnlyWhenTheyMust) {
    EXPECT_EQ(quote_kernel_param("console=ttyS0,115200"), "console=ttyS0,115200");
    EXPECT_EQ(quote_kernel_param("my.text=with space"), "\"my.text=with space\"");
}

TEST(KernelParams, WhatCannotBeSaidIsRefused) {
    using namespace std::string_view_literals;
    EXPECT_FALSE(quote_kernel_param("say=\"hi\""));
    EXPECT_FALSE(quote_kernel_param("nul=a\0b"sv));
    EXPECT_FALSE(quote_kernel_param(""));
    EXPECT_FALSE(kernel_command_line(std::vector<std::string>{"ok", "\""}));
}

TEST(KernelParams, NoLongerThanTheKernelKeeps) {
    EXPECT_TRUE(kernel_command_line(std::vector<std::string>{std::string(2047, 'x')}));
    EXPECT_FALSE(kernel_command_line(std::vector<std::string>{std::string(2047, 'x'), "y"}));
}

} // namespace microvmc::test
