#include "testkit/expectation.h"

#include "runtime/error.h"

#include <gmock/gmock.h>

// What an answer must be.

namespace microvmc::testkit {

using ::testing::HasSubstr;

namespace {

Text text(std::string value) {
    return {.value = std::move(value), .span = {}};
}

Answer said(std::string bytes, std::optional<int> status = 0) {
    Answer answer;
    answer.bytes = std::move(bytes);
    answer.status = status;
    return answer;
}

std::optional<std::string> lookup(std::string_view name) {
    if (name == "three") { return "3"; }
    if (name == "dot") { return "."; }
    return std::nullopt;
}

std::string check(const Expect& expect, const Answer& answer) {
    return difference(expect, answer, lookup);
}

Expect expecting(std::optional<Text> Expect::*member, const std::string& value) {
    Expect expect;
    expect.*member = text(value);
    return expect;
}

} // namespace

TEST(Expectation, AStatusIsSuccessUnlessOneIsExpected) {
    EXPECT_EQ(check({}, said("")), "");
    Answer failed = said("", 1);
    failed.said = "no such file";
    EXPECT_EQ(check({}, failed), "expected status 0, got 1: \"no such file\"");
    EXPECT_EQ(check(expecting(&Expect::status, "1"), failed), "");
    EXPECT_EQ(check(expecting(&Expect::status, "${three}"), said("", 3)), "");
    EXPECT_EQ(check({}, said("", std::nullopt)), "") << "kinds without one";
    Answer page = said("", 404);
    page.success = 200;
    EXPECT_EQ(check({}, page), "expected status 200, got 404");
}

TEST(Expectation, EqualsIsAllButOneNewline) {
    const Expect expect = expecting(&Expect::equals, "a\nb");
    EXPECT_EQ(check(expect, said("a\nb\n")), "");
    EXPECT_EQ(check(expect, said("a\nb")), "");
    EXPECT_EQ(check(expect, said("a\nb\n\n")), "expected \"a\\nb\", got \"a\\nb\\n\"");
    EXPECT_EQ(check(expecting(&Expect::equals, "${three}"), said("3\n")), "");
    EXPECT_EQ(check(expecting(&Expect::equals, ""), said("\n")), "");
}

TEST(Expectation, MatchesIsFoundAnywhereByLines) {
    EXPECT_EQ(check(expecting(&Expect::matches, "^two$"), said("one\ntwo\nthree\n")), "");
    EXPECT_EQ(check(expecting(&Expect::matches, "^${dot}$"), said("x\n.\n")), "");
    EXPECT_THAT(check(expecting(&Expect::matches, "a${dot}b"), said("axb")), HasSubstr("expected a match of"));
}

TEST(Expectation, NumbersAreCompared) {
    EXPECT_EQ(check(expecting(&Expect::min, "3"), said(" 3\n")), "");
    EXPECT_EQ(check(expecting(&Expect::min, "${three}"), said("2.5")), "expected at least 3, got 2.5");
    EXPECT_EQ(check(expecting(&Expect::max, "-1"), said("-2")), "");
    EXPECT_EQ(check(expecting(&Expect::max, "5"), said("10")), "expected at most 5, got 10");
    EXPECT_EQ(check(expecting(&Expect::max, "5"), said("5 MiB")), "expected a number, got \"5 MiB\"");
    EXPECT_EQ(check(expecting(&Expect::max, "5"), said("nan")), "expected a number, got \"nan\"");
    EXPECT_THROW(check(expecting(&Expect::max, "many"), said("5")), Error);
}

TEST(Expectation, Sha256IsOfTheBytes) {
    const std::string of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    EXPECT_EQ(check(expecting(&Expect::sha256, of_abc), said("abc")), "");
    EXPECT_THAT(check(expecting(&Expect::sha256, of_abc), said("abc\n")), HasSubstr("of 4 bytes"));
}

TEST(Expectation, AllThatAreGivenHold) {
    Expect expect = expecting(&Expect::min, "1");
    expect.max = text("3");
    expect.matches = text("^[0-9]$");
    EXPECT_EQ(check(expect, said("2")), "");
    EXPECT_NE(check(expect, said("0")), "");
    EXPECT_NE(check(expect, said("4")), "");
    EXPECT_NE(check(expect, said("02")), "");
}

TEST(Expectation, AReferenceThatStandsForNothingIsAnError) {
    EXPECT_THROW(check(expecting(&Expect::equals, "${nothing}"), said("")), Error);
}

TEST(Expectation, ALongAnswerIsCutInMessages) {
    const std::string message = check(expecting(&Expect::equals, "x"), said(std::string(100'000, 'y')));
    EXPECT_LT(message.size(), 300U);
    EXPECT_THAT(message, HasSubstr("(100000 bytes)"));
}

TEST(Capture, IsTheGroupOrAllThatMatched) {
    Step step;
    step.capture = {{text("pid"), text("^pid ([0-9]+)")}, {text("word"), text("[a-z]+$")}};
    const Captured captured = capture(step, said("pid 42 of init\n"), lookup);
    EXPECT_EQ(captured.missing, "");
    EXPECT_EQ(captured.values, (std::vector<std::pair<std::string, std::string>>{{"pid", "42"}, {"word", "init"}}));
    EXPECT_THAT(capture(step, said("nothing"), lookup).missing, HasSubstr("`pid`"));
}

} // namespace microvmc::testkit
