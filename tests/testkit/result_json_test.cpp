#include "testkit/result.h"

#include "runtime/files.h"
#include "runtime/process.h"
#include "tests/testkit/sample_report.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>

namespace microvmc::testkit {
namespace {

constexpr std::array all_outcomes = {Outcome::passed, Outcome::wrong, Outcome::panic,  Outcome::crash,
                                     Outcome::hang,   Outcome::error, Outcome::skipped};

TEST(ResultJson, IsReadBackAsItWas) {
    const RunReport report = sample_report();
    EXPECT_EQ(nlohmann::json::parse(nlohmann::json(report).dump()).get<RunReport>(), report);
    for (const CaseResult& result : report.results) {
        EXPECT_EQ(nlohmann::json::parse(nlohmann::json(result).dump()).get<CaseResult>(), result) << result.id();
    }
    EXPECT_EQ(nlohmann::json(CaseResult{}).get<CaseResult>(), CaseResult{});
    EXPECT_EQ(nlohmann::json(RunReport{}).get<RunReport>(), RunReport{});
}

TEST(ResultJson, EachOutcomeHasItsWord) {
    for (const Outcome outcome : all_outcomes) {
        CaseResult result;
        result.outcome = outcome;
        EXPECT_FALSE(to_string(outcome).empty());
        EXPECT_EQ(nlohmann::json(result).at("outcome"), to_string(outcome));
        EXPECT_EQ(nlohmann::json(result).get<CaseResult>().outcome, outcome);
    }
}

TEST(ResultJson, TheTextIsTheSameJson) {
    for (const RunReport& report : {sample_report(), hostile_report(), RunReport{}}) {
        EXPECT_EQ(nlohmann::json::parse(to_json_text(report)), nlohmann::json(report));
    }
    EXPECT_TRUE(to_json_text({}).starts_with("{\n  \"version\": 1,\n"));
}

TEST(ResultJson, WhatAGuestSaysCantBreakIt) {
    // Malformed bytes are lost; all else is kept.
    CaseResult result;
    result.console = std::string("a\xff"
                                 "b\0c\x1b h\xc3\xa4t \xed\xa0\x80",
                                 15);
    const CaseResult read = nlohmann::json::parse(nlohmann::json(result).dump()).get<CaseResult>();
    const std::string lost = "\xEF\xBF\xBD";
    EXPECT_EQ(read.console, "a" + lost + "b" + std::string(1, '\0') + "c\x1b h\xc3\xa4t " + lost + lost + lost);
    const RunReport report = hostile_report();
    const auto once = nlohmann::json::parse(nlohmann::json(report).dump()).get<RunReport>();
    EXPECT_EQ(nlohmann::json(once).get<RunReport>(), once);
}

TEST(ResultJson, OtherVersionsAndUnknownOrMissingKeysAreRefused) {
    const nlohmann::json good = sample_report();
    EXPECT_NO_THROW(good.get<RunReport>());
    const auto refused = [&](const auto& change) {
        nlohmann::json json = good;
        change(json);
        EXPECT_THROW(json.get<RunReport>(), nlohmann::json::exception) << json.dump().substr(0, 200);
    };
    refused([](auto& json) { json["version"] = report_version + 1; });
    refused([](auto& json) { json.erase("version"); });
    refused([](auto& json) { json["results"][0]["colour"] = "red"; });
    refused([](auto& json) { json["results"][0].erase("outcome"); });
    refused([](auto& json) { json["results"][0]["outcome"] = "well"; });
    refused([](auto& json) { json["results"][0]["attempt"] = -1; });
    refused([](auto& json) { json["targets"] = "all"; });
    refused([](auto& json) { json = nlohmann::json::array(); });
}

TEST(ResultJson, EachKeyCounts) {
    // One that is left out of reading or comparing would go unnoticed elsewhere.
    const nlohmann::json json = sample_report();
    const RunReport report = sample_report();
    const auto count = [&](const nlohmann::json::json_pointer& object) {
        for (const auto& [key, value] : json.at(object).items()) {
            if (key == "version" || key == "outcome" || value.is_structured()) { continue; }
            nlohmann::json other = json;
            nlohmann::json& changed = other[object][key];
            if (value.is_string()) {
                changed = value.get<std::string>() + "x";
            } else if (value.is_boolean()) {
                changed = !value.get<bool>();
            } else {
                changed = value.get<int>() + 1;
            }
            EXPECT_NE(other.get<RunReport>(), report) << object.to_string() << ' ' << key;
        }
    };
    for (const char* object :
         {"", "/targets/1", "/targets/2", "/results/1", "/results/3", "/results/3/timeline/1", "/coverage/1"}) {
        count(nlohmann::json::json_pointer(object));
    }
}

TEST(ResultJson, TheSchemaIsAsCommittedAndTakesReports) {
    const std::string path = TEST_SOURCE_DIR "/docs/schema/test-report.schema.json";
    const std::string schema = report_json_schema();
    if (std::getenv("MICROVMC_UPDATE_GOLDEN") != nullptr) { std::ofstream(path) << schema; }
    EXPECT_EQ(read_file(path).value_or(""), schema);

    // A public validator's word on it; the exit status of each file is its own bit.
    const std::string check = R"(import json, sys
from jsonschema import Draft7Validator
schema = json.loads(sys.argv[1])
Draft7Validator.check_schema(schema)
print([len(list(Draft7Validator(schema).iter_errors(json.loads(text)))) for text in sys.stdin]))";
    if (run_program({"python3", "-c", "import jsonschema"}).status != 0) {
        GTEST_SKIP() << "python3-jsonschema is not installed";
    }
    nlohmann::json wrong = sample_report();
    wrong["results"][0]["outcome"] = "well";
    RunOptions options;
    options.input = nlohmann::json(sample_report()).dump() + "\n" + nlohmann::json(hostile_report()).dump() + "\n" +
                    nlohmann::json(RunReport{}).dump() + "\n" + wrong.dump() + "\n";
    const Ran ran = run_program({"python3", "-c", check, schema}, options);
    EXPECT_EQ(ran.out, "[0, 0, 0, 1]\n") << ran.err;
}

} // namespace
} // namespace microvmc::testkit
