#include "tests/compiler/golden.h"

#include "tests/compiler/case_file.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/render.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

// tests/golden/plans: NAME.toml with what it comes to: NAME.plan.json and NAME.txt. NAME.over.toml is merged over it,
// NAME.actions.txt says what would be done, but of whole-NAME, whose hypervisor can do all that the language has.
// NAME.before.toml is what runs, NAME.observed.json and NAME.facts.json patch what is observed and the facts.
// tests/golden/errors: *.cases, many a file; `=== title`, the text, optional parts, `---`, and the diagnostics
// verbatim. MICROVMC_UPDATE_GOLDEN=1 rewrites what is expected; the difference is to be reviewed.

namespace microvmc::golden {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> files(const std::string& folder, const std::string& ending) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(golden_dir() + "/" + folder)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(ending) && name.find('.') == name.size() - ending.size()) {
            found.push_back(name.substr(0, name.size() - ending.size()));
        }
    }
    std::ranges::sort(found);
    return found;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
    std::string name = info.param;
    std::ranges::replace_if(
        name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
}

class GoldenPlan : public testing::TestWithParam<std::string> {};

TEST_P(GoldenPlan, IsAsRecorded) {
    const std::string path = golden_dir() + "/plans/" + GetParam();
    Case given;
    given.name = GetParam();
    given.text = read(path + ".toml");
    given.over = read(path + ".over.toml");
    given.before = read(path + ".before.toml");
    given.observed = read(path + ".observed.json");
    given.facts = read(path + ".facts.json");
    given.before_facts = read(path + ".before.facts.json");
    given.upgrade = GetParam().find("upgrade") != std::string::npos;
    given.whole = GetParam().starts_with("whole");
    const Outcome outcome = run(given);
    ASSERT_TRUE(outcome.plan) << outcome.errors();
    ASSERT_FALSE(outcome.diagnostics.has_errors()) << outcome.errors();

    const nlohmann::json json = *outcome.plan;
    EXPECT_EQ(json.get<Plan>(), *outcome.plan);
    EXPECT_EQ(nlohmann::json(json.get<Plan>()), json) << "a plan's JSON says all of it";
    EXPECT_EQ(nlohmann::json(*run(given).plan).dump(), json.dump()) << "planning twice gives the same bytes";
    EXPECT_EQ(nlohmann::json::parse(to_json_text(*outcome.plan)), json);
    nlohmann::json shown = json;
    shown.erase("digests"); // they would change with each comment
    expect_file(path + ".plan.json", shown.dump(2) + "\n");
    expect_file(path + ".txt", render_text(*outcome.plan, *outcome.changes, false, 120) + outcome.errors());
    if (!given.whole) { expect_file(path + ".actions.txt", actions_text(outcome)); }
}

INSTANTIATE_TEST_SUITE_P(Plans, GoldenPlan, testing::ValuesIn(files("plans", ".toml")), test_name);

/// What the parts of a case in a file say.
Case case_of(const FiledCase& filed) {
    Case made;
    made.name = filed.title;
    made.text = unescaped(filed.text);
    for (const auto& [name, text] : filed.parts) {
        if (name == "whole") {
            made.whole = true;
        } else if (name == "over") {
            made.over = text;
        } else if (name == "facts") {
            made.facts = text;
        } else if (name == "before") {
            made.before = text;
        } else if (name == "observed") {
            made.observed = text;
        } else {
            ADD_FAILURE() << filed.title << ": no part is called " << name;
        }
    }
    return made;
}

class GoldenErrors : public testing::TestWithParam<std::string> {};

TEST_P(GoldenErrors, AreAsRecorded) {
    const std::string path = golden_dir() + "/errors/" + GetParam() + ".cases";
    std::vector<FiledCase> cases = read_case_file(read(path));
    ASSERT_FALSE(cases.empty());
    std::string written;
    for (FiledCase& filed : cases) {
        const Case given = case_of(filed);
        const Outcome outcome = run(given);
        std::string actual = outcome.errors();
        if (!actual.empty()) { actual += "\n"; } // cases stand apart
        if (updating()) {
            filed.expected = actual;
            written += write_case(filed);
            continue;
        }
        EXPECT_EQ(filed.expected, actual) << path << ": " << given.name;
        EXPECT_FALSE(outcome.diagnostics.all().empty()) << given.name;
        for (const Diagnostic& diagnostic : outcome.diagnostics.all()) {
            EXPECT_NE(find_code(diagnostic.code), nullptr) << diagnostic.code << " is not in the table";
        }
    }
    if (updating()) { std::ofstream(path) << written; }
}

INSTANTIATE_TEST_SUITE_P(Errors, GoldenErrors, testing::ValuesIn(files("errors", ".cases")), test_name);

} // namespace

} // namespace microvmc::golden
