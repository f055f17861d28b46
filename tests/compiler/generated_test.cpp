// What is made from the schema table: JSON Schema, docs/LANGUAGE.md, microvm.toml(5). tests/schema/agree.py holds the
// schema against the decoder.

#include "compiler/json_schema.h"
#include "compiler/plan_schema.h"
#include "compiler/reference_man.h"
#include "compiler/reference_markdown.h"
#include "compiler/reference_text.h"
#include "compiler/roff.h"
#include "compiler/schema_text.h"
#include "runtime/backend.h"
#include "tests/compiler/golden.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <set>

namespace microvmc {
namespace {

TEST(Roff, NothingOfTheTextIsARequest) {
    EXPECT_EQ(roff_text(".TH x"), "\\&.TH x");
    EXPECT_EQ(roff_text("'br"), "\\(aqbr");
    EXPECT_EQ(roff_text("a\\fB -f \"x\" ~ ^ `"), "a\\(rsfB \\-f \\(dqx\\(dq \\(ti \\(ha \\(ga");
    EXPECT_EQ(roff_line("see `--out` and **more**."), "see \\fB\\-\\-out\\fP and \\fBmore\\fP.");
    EXPECT_EQ(roff_line("`.x`"), "\\fB.x\\fP");
}

TEST(Roff, ParagraphsListsAndCode) {
    EXPECT_EQ(
        roff_markup("One\ntwo.\n\nThree:\n\n- `a`,\n  more\n- b\n\n```\n.x\n  y\n```\n\nEnd."),
        "One\ntwo.\n.PP\nThree:\n.IP \\(bu 2\n\\fBa\\fP,\nmore\n.IP \\(bu 2\nb\n.PP\n.RS 4\n.EX\n\\&.x\n  y\n.EE\n"
        ".RE\n.PP\nEnd.\n");
}

TEST(SchemaText, EveryTableHasANameOfItsOwn) {
    std::set<std::string> names;
    const TableNames tables = table_names(schema_of<Config>());
    for (const auto& [table, name] : tables) { EXPECT_TRUE(names.insert(name).second) << name; }
    EXPECT_EQ(tables.size(), reference_tables().size());
    EXPECT_TRUE(names.contains("host-endpoint"));
    EXPECT_TRUE(names.contains("volume"));
}

TEST(SchemaText, SaysWhatAKeyTakes) {
    const TableSchema& vm = schema_of<VmConfig>();
    EXPECT_EQ(type_text(*vm.find("mem")), "size, at least 16MiB");
    EXPECT_EQ(type_text(*vm.find("vcpu")), "integer, 1 to 4096");
    EXPECT_EQ(type_text(*vm.find("hugepages")), "true, false, `2MiB` or `1GiB`");
    EXPECT_EQ(type_text(*schema_of<VsockConfig>().find("cid")), "integer (3 to 4294967294) or `auto`");
    EXPECT_EQ(default_text(*vm.find("mem")), "`512MiB`");
    EXPECT_EQ(default_text(*vm.find("hostname")), "NAME");
}

TEST(SchemaText, SaysWhatNoHypervisorDoes) {
    KeySchema key;
    key.doc = "X.";
    const std::array<std::string_view, 3> words = {"auto", "raw", "qcow2"};
    key.words = words;
    Traits traits;
    traits.capabilities = {{"volume.raw", Support::native, "", ""}};
    const std::span<const Traits> all(&traits, 1);
    EXPECT_EQ(unbuilt_text(key, all), "");
    key.needs = "volume.*";
    EXPECT_EQ(unbuilt_text(key, all), "No hypervisor does `qcow2` yet.");
    key.needs = "volume.direct";
    key.derived = "the host's";
    EXPECT_EQ(description(key, all), "X. When absent: the host's. No hypervisor does this yet.");
    key.needs = "volume.raw";
    EXPECT_EQ(unbuilt_text(key, all), "");
}

TEST(Reference, HasEveryKeyAndNamesItsPlace) {
    const std::vector<Traits> traits = all_traits();
    const std::string markdown = reference_markdown(traits);
    const std::string man = reference_man(traits, "1.2");
    for (const auto& [table, name] : table_names(schema_of<Config>())) {
        for (const KeySchema& key : table->keys) {
            EXPECT_NE(markdown.find("\n| `" + std::string(key.name) + "` |"), std::string::npos) << key.name;
            EXPECT_NE(man.find("\n.BR " + roff_text(key.name) + " "), std::string::npos) << key.name;
        }
    }
    for (const char* place : {"## `[vm.NAME]`", "## `[vm.NAME.volumes.NAME]`", "## `[vm.NAME.forward-ports.NAME.host]`",
                              "## `[vm.NAME.qemu]`", "- `[defaults]`: "}) {
        EXPECT_NE(markdown.find(place), std::string::npos) << place;
    }
    EXPECT_NE(man.find("\"microvmc 1.2\""), std::string::npos);
}

TEST(JsonSchema, FollowsTheTable) {
    const nlohmann::json schema = nlohmann::json::parse(json_schema(all_traits()));
    const nlohmann::json& vm = schema.at("definitions").at("VM");
    EXPECT_EQ(vm.at("additionalProperties"), false);
    EXPECT_EQ(vm.at("properties").size(), schema_of<VmConfig>().keys.size() + all_traits().size());
    const nlohmann::json& keys = vm.at("properties");
    EXPECT_EQ(keys.at("accel").at("enum"), nlohmann::json({"auto", "kvm", "tcg"}));
    EXPECT_EQ(keys.at("vcpu").at("default"), 1);
    EXPECT_EQ(keys.at("vcpu").at("maximum"), 4096);
    EXPECT_EQ(keys.at("enabled").at("default"), true);
    EXPECT_EQ(keys.at("balloon").at("default"), false);
    EXPECT_EQ(keys.at("hypervisor").at("anyOf").at(0).at("enum").at(0), "auto");
    EXPECT_EQ(keys.at("hostname").at("description"), "The guest's host name. When absent: NAME.");
}

TEST(JsonSchema, AHypervisorsOwnKeysAreThere) {
    std::vector<Traits> traits = all_traits();
    traits.front().options.push_back({"cpu-template", "Template of the CPU."});
    const nlohmann::json schema = nlohmann::json::parse(json_schema(traits));
    const nlohmann::json& keys = schema.at("definitions").at("VM").at("properties").at("qemu").at("properties");
    EXPECT_EQ(keys.at("cpu-template").at("description"), "Template of the CPU.");
    EXPECT_TRUE(keys.contains("program"));
    EXPECT_NE(reference_markdown(traits).find("| `cpu-template` |"), std::string::npos);
}

TEST(PlanSchema, HasEveryMember) {
    const nlohmann::json schema = nlohmann::json::parse(plan_json_schema());
    golden::Case given;
    given.text = golden::read(golden::golden_dir() + "/plans/every-key.toml");
    const nlohmann::json plan = *golden::run(given).plan;
    const nlohmann::json& definitions = schema.at("definitions");
    for (const auto& [key, value] : plan.at("vms").at(0).items()) {
        EXPECT_TRUE(definitions.at("vm").at("properties").contains(key)) << key;
    }
    for (const nlohmann::json& key : definitions.at("vm").at("required")) {
        EXPECT_TRUE(plan.at("vms").at(0).contains(key.get<std::string>())) << key;
    }
    EXPECT_GE(definitions.at("vm").at("required").size(), 15U);
    EXPECT_EQ(definitions.at("forward").at("properties").at("host-port").at("maximum"), 65535);
    EXPECT_EQ(definitions.at("plan").at("properties").at("version").at("enum"), nlohmann::json({plan_version}));
}

} // namespace
} // namespace microvmc
