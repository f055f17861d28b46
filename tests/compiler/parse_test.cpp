#include "compiler/document.h"
#include "tests/compiler/golden.h"

#include <gtest/gtest.h>

#include <ctime>

namespace microvmc {
namespace {

struct Parsed {
    Sources sources;
    Diagnostics diagnostics;
    std::optional<Document> document;
};

Parsed parse_text(std::string text) {
    Parsed parsed;
    parsed.sources.files.push_back({"microvm.toml", "/", std::move(text)});
    parsed.document = parse(parsed.sources, 0, parsed.diagnostics);
    return parsed;
}

std::string code_of(std::string text) {
    const Parsed parsed = parse_text(std::move(text));
    return parsed.diagnostics.all().empty() ? std::string() : parsed.diagnostics.all().front().code;
}

TEST(Parse, KeepsTheOrderOfTheText) {
    const Parsed parsed = parse_text("z = 1\na = 2\nm.y = 3\nb = 4\nm.x = 5\n[vm.z]\n[vm.a]\n");
    ASSERT_TRUE(parsed.document);
    std::string order;
    for (const Member& member : parsed.document->root.table()->members) { order += member.key + " "; }
    EXPECT_EQ(order, "z a m b vm ");
    order.clear();
    for (const Member& member : parsed.document->root.table()->find("vm")->value.table()->members) {
        order += member.key + " ";
    }
    EXPECT_EQ(order, "z a ");
}

TEST(Parse, SpansAreThoseOfTheText) {
    const Parsed parsed = parse_text("[vm.a]\nhostname = \"\xe6\x97\xa5\"  # x\nvolumes.data = { size = 64 }\n");
    const Table& vm = *parsed.document->root.table()->find("vm")->value.table()->find("a")->value.table();
    const Member& hostname = *vm.find("hostname");
    EXPECT_EQ(hostname.key_span.begin, (Position{2, 1}));
    EXPECT_EQ(hostname.key_span.end, (Position{2, 9}));
    EXPECT_EQ(hostname.value.span.begin, (Position{2, 12}));
    EXPECT_EQ(hostname.value.span.end, (Position{2, 15})) << "columns are code points";
    const Member& size = *vm.find("volumes")->value.table()->find("data")->value.table()->find("size");
    EXPECT_EQ(size.value.span.begin, (Position{3, 25}));
}

TEST(Prescan, KnowsStringsAndComments) {
    const std::string brackets(100, '[');
    EXPECT_EQ(code_of("a = \"" + brackets + "\""), "");
    EXPECT_EQ(code_of("a = '" + brackets + "'"), "");
    EXPECT_EQ(code_of("a = 1 # " + brackets), "");
    EXPECT_EQ(code_of("a = \"\"\"\n" + brackets + "\n\\\"\"\"\" "), "");
    EXPECT_EQ(code_of("a = '''\n" + brackets + "'''"), "");
    EXPECT_EQ(code_of("a = \"\\\"" + brackets + "\""), "");
    EXPECT_EQ(code_of("a = '\\'\nb = " + brackets), "E0103") << "a literal string has no escapes";
    EXPECT_EQ(
        code_of("a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, "
                "1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0]"),
        "");
}

TEST(Prescan, RefusesWhatIsNotUtf8) {
    for (const std::string bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                                  "\xf4\x90\x80\x80", "\xf8", "\xff"}) {
        EXPECT_EQ(code_of("a = \"" + bad + "\""), "E0102");
        EXPECT_EQ(code_of("# " + bad), "E0102");
    }
    EXPECT_EQ(code_of("a = \"\xf0\x9f\x98\x80\""), "");
}

/// Runs to the end of all phases within a second, whatever is wrong with the text.
void expect_quick(const std::string& text, const std::string& code) {
    const std::clock_t start = std::clock(); // of this process alone: others don't count
    golden::Case given;
    given.text = text;
    const golden::Outcome outcome = golden::run(given);
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    ASSERT_FALSE(outcome.diagnostics.all().empty());
    EXPECT_EQ(outcome.diagnostics.all().front().code, code) << outcome.errors().substr(0, 400);
    EXPECT_LT(outcome.errors().size(), 200'000U);
    // A build without optimisation or with sanitizers is given more.
    EXPECT_LT(seconds, 20) << code;
}

std::string repeated(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) { all += text; }
    return all;
}

TEST(Hostile, DeepAndLongTexts) {
    expect_quick("a" + repeated(".a", 200'000) + " = 1", "E0103");
    expect_quick("[a" + repeated(".a", 200'000) + "]", "E0103");
    expect_quick("a = " + repeated("[", 200'000), "E0103");
    expect_quick("a = " + repeated("{a=", 200'000), "E0103");
    expect_quick("\"" + repeated("a", 1'000'000), "E0104");
    expect_quick(std::string(std::size_t{9} << 20, '#'), "E0101");
    expect_quick(std::string(1000, '\0'), "E0104");
}

TEST(Hostile, ManyThings) {
    std::string machines;
    for (int i = 0; i < 100'000; ++i) { machines += "[vm.a" + std::to_string(i) + "]\n"; }
    expect_quick(machines, "E0217");
    std::string keys = "[vm.a]\n";
    for (int i = 0; i < 100'000; ++i) { keys += "key" + std::to_string(i) + " = 1\n"; }
    expect_quick(keys, "E0201");
    std::string volumes = "[vm.a]\n";
    for (int i = 0; i < 100'000; ++i) { volumes += "volumes.v" + std::to_string(i) + ".size = 1\n"; }
    expect_quick(volumes, "E0217");
}

TEST(Hostile, CopiesAreBounded) {
    expect_quick("[vm.a]\ncount = 10000\nkernel-params = [" + repeated("\"a\",", 10'000) + "]", "E0217");
    std::string machines = "[template.t]\nkernel-params = [" + repeated("\"a\",", 100'000) + "]\n";
    for (int i = 0; i < 1000; ++i) { machines += "[vm.a" + std::to_string(i) + "]\nextends = \"t\"\n"; }
    expect_quick(machines, "E0217");
    std::string doubling = "[template.t0]\nkernel-params = [\"a\"]\n";
    for (int i = 1; i < 60; ++i) {
        doubling += "[template.t" + std::to_string(i) + "]\nextends = \"t" + std::to_string(i - 1) +
                    "\"\nkernel-params = [\"...\", \"...\"]\n";
    }
    expect_quick(doubling + "[vm.a]\nextends = \"t59\"\n", "E0218");
}

TEST(Hostile, LongChainsOfDependencies) {
    std::string text;
    for (int i = 0; i < 15'000; ++i) {
        text += "[vm.a" + std::to_string(i) + "]\ndepends-on = [\"a" + std::to_string((i + 1) % 15'000) + "\"]\n";
    }
    expect_quick(text, "E0412");
    expect_quick("[vm.a]\ncount = 10000\ndepends-on = [\"b\"]\n[vm.b]\ncount = 10000\ndepends-on = [\"a\"]", "E0412");
}

} // namespace
} // namespace microvmc
