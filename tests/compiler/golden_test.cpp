#include "tests/compiler/golden.h"

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

/// A file of cases, as it is and as it would be written.
std::vector<Case> read_cases(const std::string& text, std::vector<std::string>& expected) {
    std::vector<Case> cases;
    std::string* part = nullptr;
    std::stringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("=== ")) {
            cases.emplace_back().name = line.substr(4);
            expected.emplace_back();
            part = &cases.back().text;
        } else if (line == "--- whole") {
            cases.back().whole = true;
        } else if (line == "--- over") {
            part = &cases.back().over;
        } else if (line == "--- facts") {
            part = &cases.back().facts;
        } else if (line == "--- before") {
            part = &cases.back().before;
        } else if (line == "--- observed") {
            part = &cases.back().observed;
        } else if (line == "---") {
            part = &expected.back();
        } else if (part != nullptr) {
            *part += line + "\n";
        }
    }
    return cases;
}

std::string write_case(const Case& one, const std::string& expected) {
    std::string text = "=== " + one.name + "\n" + one.text;
    const auto part = [&text](const char* name, const std::string& what) {
        if (!what.empty()) { text += std::string("--- ") + name + "\n" + what; }
    };
    if (one.whole) { text += "--- whole\n"; }
    part("over", one.over);
    part("facts", one.facts);
    part("before", one.before);
    part("observed", one.observed);
    return text + "---\n" + expected;
}

/// Control and other odd characters are written \xNN in a file of cases.
std::string unescaped(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text.compare(i, 3, "\\0x") == 0 && i + 4 < text.size()) {
            out += static_cast<char>(std::stoi(text.substr(i + 3, 2), nullptr, 16));
            i += 4;
        } else {
            out += text[i];
        }
    }
    return out;
}

class GoldenErrors : public testing::TestWithParam<std::string> {};

TEST_P(GoldenErrors, AreAsRecorded) {
    const std::string path = golden_dir() + "/errors/" + GetParam() + ".cases";
    std::vector<std::string> expected;
    const std::vector<Case> cases = read_cases(read(path), expected);
    ASSERT_FALSE(cases.empty());
    std::string written;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        Case given = cases[i];
        given.text = unescaped(given.text);
        const Outcome outcome = run(given);
        std::string actual = outcome.errors();
        if (!actual.empty()) { actual += "\n"; } // cases stand apart
        if (updating()) {
            written += write_case(cases[i], actual);
            continue;
        }
        EXPECT_EQ(expected[i], actual) << path << ": " << given.name;
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
