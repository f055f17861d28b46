#include "compiler/json_text.h"
#include "tests/compiler/golden.h"

#include <gtest/gtest.h>

namespace microvmc {
namespace {

nlohmann::json plan_json() {
    golden::Case given;
    given.text = golden::read(golden::golden_dir() + "/plans/every-key.toml");
    const golden::Outcome outcome = golden::run(given);
    EXPECT_TRUE(outcome.plan) << outcome.errors();
    return *outcome.plan;
}

TEST(PlanJson, UnknownKeysAndOtherVersionsAreRefused) {
    nlohmann::json json = plan_json();
    EXPECT_NO_THROW(json.get<Plan>());
    json["vms"][0]["volumes"][0]["colour"] = "red";
    EXPECT_THROW(json.get<Plan>(), nlohmann::json::exception);
    json = plan_json();
    json["version"] = plan_version + 1;
    EXPECT_THROW(json.get<Plan>(), nlohmann::json::exception);
    json = plan_json();
    json["vms"][0].erase("mem-mib");
    EXPECT_THROW(json.get<Plan>(), nlohmann::json::exception);
    json = plan_json();
    json["vms"][0]["ready"]["kind"] = "whenever";
    EXPECT_THROW(json.get<Plan>(), nlohmann::json::exception);
    json = plan_json();
    json["vms"][0]["mem-mib"] = "512";
    EXPECT_THROW(json.get<Plan>(), nlohmann::json::exception);
}

TEST(PlanJson, EachKeyCounts) {
    // A key that is left out of reading or comparing would go unnoticed elsewhere.
    const nlohmann::json json = plan_json();
    const Plan plan = json.get<Plan>();
    for (const auto& [key, value] : json.at("vms").at(0).items()) {
        nlohmann::json other = json;
        nlohmann::json& changed = other["vms"][0][key];
        if (changed.is_string()) {
            changed = changed.get<std::string>() + "x";
        } else if (changed.is_number()) {
            changed = changed.get<int>() + 1;
        } else if (changed.is_boolean()) {
            changed = !changed.get<bool>();
        } else {
            continue;
        }
        const bool counts = key != "hypervisor-reason" && key != "machine-reason" && key != "accel-reason";
        EXPECT_EQ(other.get<Plan>() != plan, counts) << key;
        EXPECT_NE(nlohmann::json(other.get<Plan>()), json) << key;
    }
}

TEST(JsonText, IsJsonWhateverTheText) {
    Plan plan = plan_json().get<Plan>();
    plan.vms[0].command = {"\"\\\n\x01\x7f", "h\xc3\xa4t", "\xff broken", ""};
    plan.vms[0].volumes.clear();
    const nlohmann::json json = nlohmann::json::parse(to_json_text(plan));
    EXPECT_EQ(json["vms"][0]["command"], nlohmann::json({"\"\\\n\x01\x7f", "h\xc3\xa4t", "\xef\xbf\xbd broken", ""}));
    EXPECT_FALSE(json["vms"][0].contains("volumes")) << "what a machine has none of is left out";
}

std::string as_json(std::string_view text) {
    std::string json;
    JsonText out([&json](std::string_view piece) { json += piece; });
    out.string(text);
    out.finish();
    return json;
}

TEST(JsonText, EscapesStandAnywhere) {
    const std::vector<std::string> special{
        "\"", "\\", "\n", "\x1f", "\x7f", std::string(1, '\0'), "\xc3\xa4", "\xf0\x9f\x98\x80"};
    for (const std::string& each : special) {
        for (std::size_t before = 0; before < 20; ++before) {
            for (std::size_t after = 0; after < 10; ++after) {
                const std::string text = std::string(before, 'a') + each + std::string(after, '~');
                EXPECT_EQ(nlohmann::json::parse(as_json(text)), text);
            }
        }
    }
    EXPECT_EQ(as_json("\"\x1f\xff "), "\"\\\"\\u001f\xef\xbf\xbd \"\n");
}

TEST(JsonText, LongTextsGoWhole) {
    std::string text;
    for (int i = 0; text.size() < 200'000; ++i) { text += i % 7 == 0 ? "\"" : i % 5 == 0 ? "\xc3\xa4" : "plain text"; }
    EXPECT_EQ(nlohmann::json::parse(as_json(text)), text);
}

TEST(Origins, TheFirstOfAKeyStays) {
    Origins origins;
    origins.add("mem", "a.toml", 3, 1);
    origins.add("vcpu", "b.toml", 2, 7);
    origins.add("", "a.toml", 1, 1);
    origins.add("mem", "c.toml", 9, 9);
    EXPECT_EQ(origins.find("mem"), (Origin{"a.toml", 3, 1}));
    EXPECT_EQ(origins.find("vcpu"), (Origin{"b.toml", 2, 7}));
    EXPECT_EQ(origins.find(""), (Origin{"a.toml", 1, 1}));
    EXPECT_EQ(origins.find("console"), Origin{});
    EXPECT_FALSE(origins.contains("console"));
    ASSERT_EQ(origins.entries().size(), 3U);
    EXPECT_EQ(origins.entries()[0].key, "") << "in order";
    EXPECT_EQ(nlohmann::json(origins),
              nlohmann::json({{"", "a.toml:1:1"}, {"mem", "a.toml:3:1"}, {"vcpu", "b.toml:2:7"}}));
    EXPECT_EQ(nlohmann::json(origins).get<Origins>(), origins);
    Origins other = origins;
    other.add("cpu", "a.toml", 4, 1);
    EXPECT_NE(other, origins);
}

TEST(PlanJson, NumbersThatDontFitAreRefused) {
    const nlohmann::json json = plan_json();
    for (const nlohmann::json& wrong : {nlohmann::json(1.5), nlohmann::json(1e46), nlohmann::json(-1),
                                        nlohmann::json(std::uint64_t{1} << 40), nlohmann::json(true)}) {
        nlohmann::json other = json;
        other["vms"][0]["vcpu"] = wrong;
        EXPECT_THROW(other.get<Plan>(), nlohmann::json::exception) << wrong;
        other = json;
        other["version"] = wrong;
        EXPECT_THROW(other.get<Plan>(), nlohmann::json::exception) << wrong;
    }
}

TEST(FactsJson, ComeBackAsTheyWere) {
    const HostFacts facts = golden::facts();
    const nlohmann::json json = facts;
    EXPECT_EQ(json.get<HostFacts>(), facts);
    nlohmann::json other = json;
    other["colour"] = 1;
    EXPECT_THROW(other.get<HostFacts>(), nlohmann::json::exception);
    other = json;
    other["kvm"]["state"] = "perhaps";
    EXPECT_THROW(other.get<HostFacts>(), nlohmann::json::exception);
}

TEST(Digests, SayWhatChanged) {
    const HostFacts facts = golden::facts();
    Sources sources;
    sources.files.push_back({"microvm.toml", "/", "[vm.a]"});
    Observed observed;
    const PlanDigests before = digests(sources, facts, observed);
    EXPECT_EQ(digests(sources, facts, observed), before);
    sources.files[0].text += "\n";
    EXPECT_NE(digests(sources, facts, observed).sources, before.sources);
    sources.files[0].text = "[vm.a]";
    sources.files.push_back({"a.toml", "/", "", true});
    const std::vector<SourceDigest> both = digests(sources, facts, observed).sources;
    ASSERT_EQ(both.size(), 2U) << "in the order in which they are merged, not by name";
    EXPECT_EQ(both[0], before.sources[0]);
    EXPECT_EQ(both[1].path, "a.toml");
    EXPECT_TRUE(both[1].included);
    HostFacts upgraded = facts;
    upgraded.tools.at("qemu-system-x86_64").identity.inode += 1;
    EXPECT_NE(digests(sources, upgraded, observed).facts, before.facts);
    observed.vms.emplace_back().name = "a";
    EXPECT_NE(digests(sources, facts, observed).observed, before.observed);
}

TEST(DiagnosticsJson, HasThePlaces) {
    golden::Case given;
    given.text = "[vm.a]\nready = { tcp = 80, http = \":80/\" }\nvcpus = 2\n";
    const golden::Outcome outcome = golden::run(given);
    const nlohmann::json json = render_json(outcome.diagnostics, outcome.sources);
    ASSERT_EQ(json.size(), 2U);
    EXPECT_EQ(json[0],
              nlohmann::json::parse(R"({"severity": "error", "code": "E0210", "file": "microvm.toml", "line": 2,
        "column": 21, "end-line": 2, "end-column": 25, "message": "`tcp` and `http` exclude each other in [vm.a.ready]",
        "help": "keep one of tcp, http, console, command, notify or exit",
        "notes": [{"file": "microvm.toml", "line": 2, "column": 11, "end-line": 2, "end-column": 14,
                   "message": "`tcp` is here"}]})"));
    EXPECT_EQ(json[1]["code"], "E0201");
}

TEST(DiagnosticsText, ColourIsOnlyAddedWhenAsked) {
    golden::Case given;
    given.text = "[vm.a]\nvcpus = 2\n";
    const golden::Outcome outcome = golden::run(given);
    EXPECT_EQ(render_text(outcome.diagnostics, outcome.sources, false).find('\x1b'), std::string::npos);
    EXPECT_NE(render_text(outcome.diagnostics, outcome.sources, true).find("\x1b[1;31merror[E0201]"),
              std::string::npos);
}

} // namespace
} // namespace microvmc
