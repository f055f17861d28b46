#include "compiler/show.h"

#include "runtime/backend.h"
#include "tests/compiler/golden.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace microvmc {
namespace {

struct Shown {
    std::vector<ShownTable> tables;
    std::string errors;
};

Shown shown(Sources sources) {
    Shown made;
    Diagnostics diagnostics;
    Merged merged;
    const std::vector<Traits> traits = all_traits();
    if (load(sources, traits, diagnostics, {}, &merged)) { made.tables = show(merged, sources, traits); }
    made.errors = render_text(diagnostics, sources, false);
    return made;
}

Sources sources_of(const std::string& text, const std::string& over = {}) {
    Sources sources;
    sources.files.push_back({.path = "microvm.toml", .directory = "/home/me/shop", .text = text});
    if (!over.empty()) { sources.files.push_back({.path = "over.toml", .directory = "/home/me/shop", .text = over}); }
    return sources;
}

/// All but the places.
nlohmann::ordered_json meaning(const std::vector<ShownTable>& tables) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const ShownTable& table : tables) {
        nlohmann::ordered_json values = nlohmann::ordered_json::array();
        for (const ShownValue& each : table.values) { values.push_back({each.path, each.value}); }
        all.push_back({table.kind, table.name, values});
    }
    return all;
}

TEST(Show, IsTomlThatMeansTheSame) {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(golden::golden_dir() + "/plans")) {
        const std::string path = entry.path().string();
        if (!path.ends_with(".toml")) { continue; }
        ++files;
        golden::Case given;
        given.text = golden::read(path);
        if (entry.path().filename().string().find('.') == entry.path().filename().string().size() - 5) {
            given.over = golden::read(path.substr(0, path.size() - 5) + ".over.toml");
            given.facts = golden::read(path.substr(0, path.size() - 5) + ".facts.json");
        }
        const Shown first = shown(sources_of(given.text, given.over));
        if (first.tables.empty()) { continue; } // an over.toml of its own is none
        const std::string toml = render_toml(first.tables, false);
        const Shown again = shown(sources_of(toml));
        EXPECT_EQ(again.errors, first.errors) << path << "\n" << toml;
        EXPECT_EQ(meaning(again.tables), meaning(first.tables)) << path << "\n" << toml;
        const golden::Outcome before = golden::run(given);
        given.text = toml;
        given.over.clear();
        const golden::Outcome after = golden::run(given);
        ASSERT_EQ(before.plan.has_value(), after.plan.has_value()) << path << "\n" << after.errors();
        if (before.plan) { EXPECT_EQ(before.plan->vms, after.plan->vms) << path << "\n" << toml; }
    }
    EXPECT_GT(files, 20U);
}

TEST(Show, SaysWhereEachLineWasWritten) {
    const std::string text = R"(name = "shop"
[network.lan]
subnet = "10.9.0.0/24"
[defaults]
kernel-params = ["loglevel=4"]
[template.base]
mem = 1024
[template.debian]
extends = "base"
root.host = true
startup-timeout = "90s"
[vm.web]
extends = ["debian"]
count = 2
kernel-params = ["...", "panic=5"]
volumes = [{ image = "${name}.img", size = 64 }, { name = "b", size = "1GiB" }]
forward-ports = ["127.0.0.1:8081:80", "[::1]:81:81/udp"]
interfaces.user.mac = "02:00:00:00:00:0a"
credentials.pw = { env = "PW" }
env = { "a b" = "\u001b\u202e\"" }
qemu.extra-args = ["-S"]
)";
    const Shown made = shown(sources_of(text, "vm.web.mem = '2GiB'\n"));
    ASSERT_EQ(made.errors, "");
    EXPECT_EQ(render_toml({made.tables.front(), made.tables.at(1), made.tables.back()}, false),
              R"(name = "shop"  # microvm.toml:1

[network.lan]             # microvm.toml:2
subnet = ["10.9.0.0/24"]  # microvm.toml:3

[vm.web-2]                                                  # over.toml:1
kernel-params = [
    "loglevel=4",                                           # microvm.toml:5, from defaults
    "panic=5",                                              # microvm.toml:15
]
mem = "2GiB"                                                # over.toml:1
root.host = true                                            # microvm.toml:10, from template debian
startup-timeout = "1m30s"                                   # microvm.toml:11, from template debian
volumes = [
    { image = "/home/me/shop/web-2.img", size = "64MiB" },  # microvm.toml:16
    { name = "b", size = "1GiB" },                          # microvm.toml:16
]
forward-ports = [
    "127.0.0.1:8082:80",                                    # microvm.toml:17
    "[::1]:82:81/udp",                                      # microvm.toml:17
]
interfaces.user.mac = "02:00:00:00:00:0b"                   # microvm.toml:18
credentials.pw.env = "PW"                                   # microvm.toml:19
env."a b" = "\u001B\u202E\""                                # microvm.toml:20
qemu.extra-args = ["-S"]                                    # microvm.toml:21
)");
    EXPECT_NE(render_toml(made.tables, true).find("\x1b[2m# microvm.toml:1\x1b[0m"), std::string::npos);
    const nlohmann::ordered_json json = render_shown_json(made.tables);
    EXPECT_EQ(json["tables"][2]["name"], "web-1");
}

TEST(Show, ASecretInTheOpenIsNotShown) {
    const Shown made = shown(sources_of("[vm.a]\ncredentials.pw = 'hunter2'\n"));
    EXPECT_TRUE(made.tables.empty());
    EXPECT_EQ(made.errors.find("hunter2"), std::string::npos) << made.errors;
}

} // namespace
} // namespace microvmc
