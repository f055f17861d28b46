#include "testkit/reading.h"

#include "runtime/error.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

// What cases go from process to process with.

namespace microvmc::testkit {

using ::testing::HasSubstr;

namespace {

Text text(std::string value) {
    return {.value = std::move(value), .span = {}};
}

Step volume(const std::string& path, const std::string& equals) {
    Step step;
    step.what = VolumeStep{text("data"), text(path)};
    step.on = "a";
    step.expect.equals = text(equals);
    return step;
}

Suspended suspended_at_start() {
    Suspended suspended;
    VmPlan& vm = suspended.job.plan.vms.emplace_back();
    vm.name = "a";
    VolumePlan& data = vm.volumes.emplace_back();
    data.name = "data";
    data.image = "/images/data.img";
    data.fs_type = "ext4";
    data.format = "qcow2";
    return suspended;
}

FileAnswer content(std::string bytes) {
    return {.content = std::move(bytes), .problem = {}, .unable = false, .how = "a test"};
}

} // namespace

TEST(CaseState, SurvivesItsWayWithAnyBytes) {
    CaseState state;
    state.next = 3;
    state.variables = {{"axis", "ext4"}, {"bytes", std::string("\0\xff\n\"x", 5)}};
    state.elapsed_ms = 1234;
    state.boot_ms = 55;
    state.timeline = {{1, "boot a"}, {2, "step 1: guest true"}};
    state.up = {"a", "b"};
    EXPECT_EQ(nlohmann::json::parse(nlohmann::json(state).dump()).get<CaseState>(), state);
}

TEST(FileAnswers, SurviveTheirWayWithAnyBytes) {
    std::string bytes;
    for (int i = 0; i < 1000; ++i) { bytes += static_cast<char>(i); }
    const std::vector<FileAnswer> answers = {content(bytes), content(""), {{}, "no such file", true, "debugfs"}};
    const auto again = answers_from(to_bytes(answers));
    ASSERT_EQ(again.size(), 3U);
    EXPECT_EQ(again[0].content, bytes);
    EXPECT_EQ(again[1].content, "");
    EXPECT_EQ(again[2].content, std::nullopt);
    EXPECT_EQ(again[2].problem, "no such file");
    EXPECT_TRUE(again[2].unable);
    EXPECT_THROW(answers_from(""), Error);
    EXPECT_THROW(answers_from(to_bytes(answers).substr(0, 100)), Error);
}

TEST(Volumes, StepsInARowAreReadAtOnceUnlessTheyBuildOnEachOther) {
    Suspended suspended = suspended_at_start();
    suspended.state.variables["axis"] = "x";
    Case which;
    which.steps = {volume("/${axis}", "1"), volume("/two", "2"), volume("/${captured}", "3"), volume("/four", "4")};
    const auto requests = requests_of(suspended, which);
    ASSERT_EQ(requests.size(), 2U);
    EXPECT_EQ(requests[0].path, "/x");
    EXPECT_EQ(requests[0].image, "/images/data.img");
    EXPECT_EQ(requests[0].format, "qcow2");
    EXPECT_EQ(requests[1].path, "/two");
    suspended.state.next = 2;
    EXPECT_THROW(requests_of(suspended, which), Error);
}

TEST(Volumes, AnswersAreJudgedInOrder) {
    Suspended suspended = suspended_at_start();
    Case which;
    which.steps = {volume("/one", "1"), volume("/two", "2"), Step{}};
    which.steps[0].capture = {{text("kept"), text(".")}};
    EXPECT_EQ(take_answers(suspended, which, {content("1\n"), content("2")}), std::nullopt) << "there are steps left";
    EXPECT_EQ(suspended.state.next, 2U);
    EXPECT_EQ(suspended.state.variables["kept"], "1");

    suspended = suspended_at_start();
    const auto wrong = take_answers(suspended, which, {content("1"), content("3")});
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->verdict.outcome, Outcome::wrong);
    EXPECT_EQ(wrong->verdict.message, "step 2: expected \"2\", got \"3\"");

    which.steps.pop_back();
    suspended = suspended_at_start();
    const auto right = take_answers(suspended, which, {content("1"), content("2")});
    ASSERT_TRUE(right);
    EXPECT_EQ(right->verdict.outcome, Outcome::passed);
}

TEST(Volumes, AHostThatCantReadThemSkips) {
    Suspended suspended = suspended_at_start();
    Case which;
    which.steps = {volume("/one", "1")};
    FileAnswer missing{{}, "no such file", false, "debugfs"};
    EXPECT_EQ(take_answers(suspended, which, {missing})->verdict.outcome, Outcome::wrong);
    suspended = suspended_at_start();
    missing.unable = true;
    EXPECT_EQ(take_answers(suspended, which, {missing})->verdict.outcome, Outcome::skipped);
}

} // namespace microvmc::testkit
