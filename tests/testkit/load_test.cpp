#include "testkit/load.h"

#include "compiler/diagnostic_codes.h"
#include "runtime/backend.h"
#include "testkit/case_json.h"
#include "tests/compiler/case_file.h"
#include "tests/compiler/golden.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <span>

// tests/golden/specs: NAME.toml with the cases that it comes to, NAME.json; NAME.machines.toml is the microvm.toml
// below it. tests/golden/spec-errors: *.cases, as in tests/golden/errors. MICROVMC_UPDATE_GOLDEN=1 rewrites what is
// expected.

namespace microvmc::testkit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Loaded {
    Specs specs;
    Diagnostics diagnostics;
    MergedMachines merged;

    [[nodiscard]] std::string errors() const { return render_text(diagnostics, specs.sources, false); }
};

Loaded load_text(const std::string& spec, const std::string& machines = {}) {
    Loaded loaded;
    std::vector<SourceFile> below;
    if (!machines.empty()) { below.push_back({.path = "microvm.toml", .directory = "/home/me", .text = machines}); }
    loaded.specs = load(std::move(below), {{.path = "spec.toml", .directory = "/home/me", .text = spec}},
                        golden::whole_traits(), {}, loaded.diagnostics, &loaded.merged);
    return loaded;
}

Json node_json(const Node& node) {
    struct Visit {
        Json operator()(const Table& table) const {
            Json json = Json::object();
            for (const Member& member : table.members) { json[member.key] = node_json(member.value); }
            return json;
        }
        Json operator()(const Array& array) const {
            Json json = Json::array();
            for (const Node& item : array.items) { json.push_back(node_json(item)); }
            return json;
        }
        Json operator()(const std::string& text) const { return text; }
        Json operator()(std::int64_t number) const { return number; }
        Json operator()(double number) const { return number; }
        Json operator()(bool flag) const { return flag; }
        Json operator()(const Datetime& date) const { return date.text; }
    };
    return std::visit(Visit{}, node.value);
}

std::vector<std::string> files(const std::string& folder, const std::string& ending) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(golden::golden_dir() + "/" + folder)) {
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
    std::ranges::replace(name, '-', '_');
    return name;
}

class GoldenSpec : public testing::TestWithParam<std::string> {};

TEST_P(GoldenSpec, CasesAreAsRecorded) {
    const std::string path = golden::golden_dir() + "/specs/" + GetParam();
    const Loaded loaded = load_text(golden::read(path + ".toml"), golden::read(path + ".machines.toml"));
    ASSERT_TRUE(loaded.diagnostics.all().empty()) << loaded.errors();
    Json json = Json::array();
    for (std::size_t i = 0; i < loaded.specs.cases.size(); ++i) {
        Json one = case_json(loaded.specs.cases[i], loaded.specs.sources);
        one["text"] = node_json(loaded.merged[i]);
        json.push_back(std::move(one));
    }
    golden::expect_file(path + ".json", json.dump(2) + "\n");
}

INSTANTIATE_TEST_SUITE_P(Specs, GoldenSpec, testing::ValuesIn(files("specs", ".toml")), test_name);

class GoldenSpecErrors : public testing::TestWithParam<std::string> {};

TEST_P(GoldenSpecErrors, AreAsRecorded) {
    const std::string path = golden::golden_dir() + "/spec-errors/" + GetParam() + ".cases";
    std::vector<golden::FiledCase> cases = golden::read_case_file(golden::read(path));
    ASSERT_FALSE(cases.empty());
    std::string written;
    for (golden::FiledCase& filed : cases) {
        const std::string machines = filed.parts.empty() ? "" : filed.parts.front().second;
        const Loaded loaded = load_text(golden::unescaped(filed.text), machines);
        const std::string actual = loaded.errors() + "\n"; // cases stand apart
        EXPECT_TRUE(loaded.diagnostics.has_errors()) << filed.title;
        EXPECT_TRUE(loaded.specs.cases.empty()) << filed.title;
        if (golden::updating()) {
            filed.expected = actual;
            written += golden::write_case(filed);
            continue;
        }
        EXPECT_EQ(filed.expected, actual) << path << ": " << filed.title;
        for (const Diagnostic& diagnostic : loaded.diagnostics.all()) {
            EXPECT_NE(find_code(diagnostic.code), nullptr) << diagnostic.code << " is not in the table";
        }
    }
    if (golden::updating()) { std::ofstream(path) << written; }
}

INSTANTIATE_TEST_SUITE_P(Errors, GoldenSpecErrors, testing::ValuesIn(files("spec-errors", ".cases")), test_name);

TEST(SpecErrors, AreManyAndDistinct) {
    std::set<std::string> messages;
    for (const std::string& name : files("spec-errors", ".cases")) {
        for (const auto& filed :
             golden::read_case_file(golden::read(golden::golden_dir() + "/spec-errors/" + name + ".cases"))) {
            messages.insert(filed.expected.substr(0, filed.expected.find('\n')));
        }
    }
    EXPECT_GE(messages.size(), 40U);
}

TEST(Load, ShippedSpecsAreRight) {
    std::vector<SourceFile> specs;
    for (const auto& entry : fs::directory_iterator(std::string(TEST_SOURCE_DIR) + "/specs")) {
        if (entry.path().extension() != ".toml") { continue; }
        const std::string path = entry.path().string();
        specs.push_back({.path = path, .directory = entry.path().parent_path().string(), .text = golden::read(path)});
    }
    ASSERT_FALSE(specs.empty());
    Diagnostics diagnostics;
    const Specs loaded = load({}, specs, all_traits(), {}, diagnostics);
    EXPECT_TRUE(diagnostics.all().empty()) << render_text(diagnostics, loaded.sources, false);
    EXPECT_GE(loaded.cases.size(), specs.size());
}

TEST(Load, SpecsOfTheSameNameAreToldApart) {
    const std::string text = "[vm.a]\n[[step]]\nguest = 'true'\n";
    Diagnostics diagnostics;
    const Specs specs = load({},
                             {{.path = "x/boot.toml", .directory = "/x", .text = text},
                              {.path = "y/boot.toml", .directory = "/y", .text = text},
                              {.path = "y/Über Ä.toml", .directory = "/y", .text = text}},
                             all_traits(), {}, diagnostics);
    ASSERT_EQ(specs.cases.size(), 3U) << render_text(diagnostics, specs.sources, false);
    EXPECT_EQ(specs.cases[0].spec, "boot");
    EXPECT_EQ(specs.cases[1].spec, "boot-2");
    EXPECT_EQ(specs.cases[2].spec, "ber");
    EXPECT_EQ(specs.cases[1].steps.front().span.file, 1U);
}

bool is_for(const Case& which, std::string_view hypervisor) {
    return std::ranges::none_of(which.not_on, [&](const Exclusion& each) { return each.hypervisor == hypervisor; });
}

TEST(Load, WhatIsOptionalGoesByWhatAHypervisorHas) {
    const std::string text = "proves = ['volume.raw']\n[vm.a]\nvolumes.raw.size = 64\n"
                             "[optional.'volume.qcow2']\nvm.a.volumes.more = { size = 64, format = 'qcow2' }\n"
                             "[[step]]\nguest = 'true'\n"
                             "[[step]]\nneeds = ['volume.qcow2', 'pause']\nvm = 'pause'\n";
    Diagnostics diagnostics;
    const Specs specs =
        load({}, {{.path = "spec.toml", .directory = "/x", .text = text}}, all_traits(), {}, diagnostics);
    ASSERT_TRUE(diagnostics.all().empty()) << render_text(diagnostics, specs.sources, false);
    for (const Traits& traits : all_traits()) {
        const bool qcow2 = refusal(traits, "volume.qcow2", "").empty();
        const bool pause = refusal(traits, "pause", "").empty();
        std::vector<const Case*> made;
        for (const Case& each : specs.cases) {
            if (is_for(each, traits.name)) { made.push_back(&each); }
        }
        ASSERT_EQ(made.size(), 1U) << traits.name;
        const Case& only = *made.front();
        EXPECT_EQ(only.id(), "spec");
        EXPECT_EQ(only.config.vms.front().volumes.size(), qcow2 ? 2U : 1U) << traits.name;
        EXPECT_EQ(only.steps.size(), qcow2 && pause ? 2U : 1U) << traits.name;
        const auto proves = [&only](std::string_view name) {
            return std::ranges::find(only.proves, name) != only.proves.end();
        };
        EXPECT_TRUE(proves("volume.raw"));
        EXPECT_EQ(proves("volume.qcow2"), qcow2) << traits.name;
    }
    EXPECT_TRUE(std::ranges::any_of(specs.cases, [](const Case& each) { return each.steps.size() == 2; }));
    EXPECT_TRUE(std::ranges::any_of(specs.cases, [](const Case& each) { return each.steps.size() == 1; }));
}

TEST(Load, WhatNoHypervisorHasIsLookedAtAllTheSame) {
    Traits poor = all_traits().front();
    poor.capabilities = {};
    const std::string text = "[vm.a]\n[optional.'pause']\nvm.a.vcpu = 'two'\n[[step]]\nguest = 'true'\n";
    Diagnostics diagnostics;
    const Specs specs =
        load({}, {{.path = "spec.toml", .directory = "/x", .text = text}}, std::span(&poor, 1), {}, diagnostics);
    EXPECT_TRUE(specs.cases.empty());
    ASSERT_EQ(diagnostics.all().size(), 1U) << render_text(diagnostics, specs.sources, false);
    EXPECT_EQ(diagnostics.all().front().span.begin.line, 3U);
}

TEST(Load, ACommandIsASpecOfOneStep) {
    Diagnostics diagnostics;
    const SourceFile source = command_spec({"echo", "a b", "\"$x\"\n", "\xF0\x9F\x98\x80"}, "", "/");
    const Specs specs = load({}, {source}, all_traits(), {}, diagnostics);
    ASSERT_EQ(specs.cases.size(), 1U) << render_text(diagnostics, specs.sources, false);
    const Step& step = specs.cases.front().steps.front();
    EXPECT_EQ(std::get<GuestStep>(step.what).command.value, "echo 'a b' $'\"$x\"\\012' '\xF0\x9F\x98\x80'");
    EXPECT_EQ(step.on, "guest");
}

TEST(Load, WhatIsWrongInEachOfManyCasesIsSaidOnce) {
    std::string text = "[matrix]\nn = [";
    for (int i = 0; i < 2000; ++i) { text += std::to_string(i) + ","; }
    const Loaded loaded = load_text(text + "]\n[vm.a]\nvcpus = 1\n[[step]]\nguest = 'true'\n");
    EXPECT_EQ(loaded.diagnostics.all().size(), 1U);
    EXPECT_EQ(loaded.diagnostics.left_out(), 0U);
}

// Bad input neither hangs nor eats the memory; the limits are well below what it takes.

const std::string a_step = "[[step]]\nguest = 'true'\n";

TEST(HostileSpec, OfManyAxes) {
    std::string text = "[matrix]\n";
    for (char axis = 'a'; axis <= 'z'; ++axis) { text += std::string(1, axis) + " = [1, 2, 3]\n"; }
    EXPECT_NE(load_text(text + "[vm.a]\n" + a_step).errors().find("more than 10000 points"), std::string::npos);
}

TEST(HostileSpec, OfManyLargeCases) {
    std::string text = "[matrix]\nn = [";
    for (int i = 0; i < 10'000; ++i) { text += std::to_string(i) + ","; }
    text += "]\n[vm.a]\nkernel-params = [";
    for (int i = 0; i < 2000; ++i) { text += "'a',"; }
    EXPECT_NE(load_text(text + "]\n" + a_step).errors().find("too large"), std::string::npos);
}

TEST(HostileSpec, OfTextThatGrows) {
    std::string text = "[matrix]\nn = ['" + std::string(200, 'x') + "']\n[vm.a]\nkernel-params = [";
    std::string parameter;
    for (int i = 0; i < 1000; ++i) { parameter += "${n}"; }
    for (int i = 0; i < 200; ++i) { text += "'" + parameter + "',"; }
    EXPECT_NE(load_text(text + "]\n" + a_step).errors().find("more than 16 MiB"), std::string::npos);
}

TEST(HostileSpec, OfManySteps) {
    std::string text = "[vm.a]\n";
    for (int i = 0; i < 100'000; ++i) { text += "[[step]]\n"; }
    EXPECT_NE(load_text(text).errors().find("100000 elements, 1000 at most"), std::string::npos);
}

TEST(HostileSpec, OfManyReferences) {
    std::string text = "[vm.a]\n[[step]]\nguest = '";
    for (int i = 0; i < 50'000; ++i) { text += "${vm.a.mem}"; }
    EXPECT_NE(load_text(text + "'\n").errors().find("more than 1000 references"), std::string::npos);
}

} // namespace
} // namespace microvmc::testkit
