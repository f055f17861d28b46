#include "compiler/unique.h"

#include "compiler/diagnostic_codes.h"

#include <gtest/gtest.h>

#include <string>

namespace microvmc {
namespace {

TEST(Unique, FindsTheFirstOfFewAndOfMany) {
    for (const std::uint32_t count : {1U, 8U, 9U, 100U}) {
        Diagnostics diagnostics;
        Unique<std::string> unique(diagnostics, codes::duplicate_tag);
        const auto add = [&](std::uint32_t i, std::uint32_t line) {
            unique.add(
                std::to_string(i), {0, {line, 1}, {line, 2}}, [] { return "again"; }, "help");
        };
        for (std::uint32_t i = 0; i < count; ++i) { add(i, i + 1); }
        EXPECT_TRUE(diagnostics.all().empty()) << count;
        for (std::uint32_t i = 0; i < count; ++i) { add(i, 1000 + i); }
        ASSERT_EQ(diagnostics.all().size(), count);
        for (std::uint32_t i = 0; i < count; ++i) {
            const Diagnostic& diagnostic = diagnostics.all()[i];
            EXPECT_EQ(diagnostic.span.begin.line, 1000 + i);
            EXPECT_EQ(diagnostic.notes.at(0).span.begin.line, i + 1) << "the first one is noted";
            EXPECT_EQ(diagnostic.help, "help");
        }
        unique.clear();
        add(0, 1);
        EXPECT_EQ(diagnostics.all().size(), count) << "cleared";
    }
}

} // namespace
} // namespace microvmc
