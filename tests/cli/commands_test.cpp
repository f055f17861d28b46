#include "tests/boot/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

namespace microvmc::boot {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* shop = R"(name = "shop"
[template.base]
mem = "1GiB"
[vm.db]
extends = "base"
volumes.data.size = "1GiB"
[vm.web]
count = 2
)";

TEST(ShowCommand, PrintsMachinesByName) {
    const Cli cli;
    cli.write("microvm.toml", shop);
    const Ran all = cli.run({"show"});
    EXPECT_EQ(all.status, 0) << all.err;
    EXPECT_EQ(all.out, "name = \"shop\"  # microvm.toml:1\n\n"
                       "[vm.db]                     # microvm.toml:4\n"
                       "mem = \"1GiB\"                # microvm.toml:3, from template base\n"
                       "volumes.data.size = \"1GiB\"  # microvm.toml:6\n\n"
                       "[vm.web-1]  # microvm.toml:7\n\n"
                       "[vm.web-2]  # microvm.toml:7\n");
    EXPECT_EQ(cli.run({"show", "web-2"}).out, "[vm.web-2]  # microvm.toml:7\n");
    EXPECT_EQ(cli.run({"show", "web"}).out, "[vm.web-1]  # microvm.toml:7\n\n[vm.web-2]  # microvm.toml:7\n");
    const Ran none = cli.run({"show", "wep"});
    EXPECT_EQ(none.status, 1);
    EXPECT_THAT(none.err, HasSubstr("no machine is called wep"));
    const nlohmann::json json = nlohmann::json::parse(cli.run({"show", "db", "--json"}).out);
    EXPECT_EQ(json["tables"][0]["values"][0]["value"], "1GiB");
    EXPECT_EQ(json["tables"][0]["values"][0]["origin"]["from"], "template base");
}

TEST(Plan, AgainstAnotherFile) {
    const Cli cli;
    cli.write("microvm.toml", shop);
    // Of no name, so that the directory's would be another project.
    cli.write("old/old.toml", "[vm.db]\nmem = 512\nvolumes.data.size = 1024\n[vm.gone]\n[vm.web-1]\n");
    const Ran ran = cli.run({"plan", "--against", "old/old.toml", "--detailed-exitcode"});
    EXPECT_EQ(ran.status, 2) << ran.err;
    EXPECT_THAT(ran.out, StartsWith("Against old/old.toml, whatever runs:\n\n"));
    EXPECT_THAT(ran.out, HasSubstr("! db "));
    EXPECT_THAT(ran.out, HasSubstr("512MiB -> 1GiB"));
    EXPECT_THAT(ran.out, Not(HasSubstr("volumes.data"))) << "it is the same project's";
    EXPECT_THAT(ran.out, HasSubstr("+ web-2 "));
    EXPECT_THAT(ran.out, HasSubstr("- gone "));
    EXPECT_THAT(ran.out, HasSubstr("Plan: 1 create, 1 restart, 1 destroy."));
    EXPECT_EQ(cli.run({"plan", "--against", "microvm.toml", "--detailed-exitcode"}).status, 0);

    const Ran out = cli.run({"plan", "--against", "old/old.toml", "--out", "plan.json"});
    EXPECT_EQ(out.status, 64);
    EXPECT_THAT(out.err, HasSubstr("can't be applied"));
    EXPECT_FALSE(std::filesystem::exists(cli.dir() + "/plan.json"));

    cli.write("old/old.toml", "[vm.db]\nmen = 512\n");
    const Ran wrong = cli.run({"plan", "--against", "old/old.toml"});
    EXPECT_EQ(wrong.status, 1);
    EXPECT_THAT(wrong.err, HasSubstr("old/old.toml:2:1"));
    EXPECT_EQ(wrong.out, "");
}

TEST(Plan, AgainstAPlanWithoutStateOrHost) {
    const Cli cli;
    const std::string file = cli.write("microvm.toml", shop);
    cli.write("facts.json", cli.run({"doctor", "--json"}).out);
    ASSERT_EQ(cli.run({"plan", "--out", "saved.json"}).status, 0);
    cli.write("printed.json", cli.run({"plan", "--json"}).out);
    cli.write("microvm.toml", std::string(shop) + "vcpu = 2\n");
    std::filesystem::remove_all(cli.state());
    std::filesystem::remove_all(cli.runtime());
    for (const char* plan : {"saved.json", "printed.json"}) {
        const Ran ran = cli.run({"plan", "--against", plan, "--facts", "facts.json", "--json", "--detailed-exitcode"});
        ASSERT_EQ(ran.status, 2) << ran.err;
        const nlohmann::json json = nlohmann::json::parse(ran.out);
        EXPECT_EQ(json["against"], plan);
        EXPECT_EQ(json["changes"][0]["kind"], "none");
        EXPECT_EQ(json["changes"][1]["kind"], "restart");
        EXPECT_EQ(json["changes"][1]["keys"][0]["key"], "vcpu");
    }
    EXPECT_FALSE(std::filesystem::exists(cli.state())) << "it needs no state";
    EXPECT_FALSE(std::filesystem::exists(cli.runtime()));
    cli.write("other.json", "{\"version\": 1}");
    EXPECT_THAT(cli.run({"plan", "--against", "other.json", "--facts", "facts.json"}).err, HasSubstr("not a plan"));
    EXPECT_THAT(cli.run({"plan", "--against", "none.json", "--facts", "facts.json"}).err, HasSubstr("no such plan"));
}

TEST(Program, NamedInTheFileIsNotRunByCheckAndPlan) {
    const Cli cli;
    const std::string program = cli.write("qemu", "#!/bin/sh\necho ran >> " + cli.dir() + "/ran\necho QEMU 99.1.2\n");
    ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
    cli.write("microvm.toml", "[vm.a]\nqemu.program = \"qemu\"\n");
    EXPECT_EQ(cli.run({"check"}).status, 0);
    const Ran plan = cli.run({"plan", "--commands"});
    EXPECT_THAT(plan.out, HasSubstr("\n" + program + " "));
    const Ran text = cli.run({"plan"});
    EXPECT_THAT(text.out, HasSubstr("version unknown"));
    EXPECT_THAT(text.out, Not(HasSubstr("99.1.2")));
    EXPECT_FALSE(std::filesystem::exists(cli.dir() + "/ran"));
}

TEST(Dashes, AreForRunAlone) {
    const Cli cli;
    cli.write("microvm.toml", shop);
    for (const char* command : {"check", "plan", "apply", "status", "show", "doctor"}) {
        const Ran ran = cli.run({command, "--", "true"});
        EXPECT_EQ(ran.status, 64) << command;
        EXPECT_THAT(ran.err, HasSubstr("behind -- stands a command for the guest, which only `run` and `exec` take")) << command;
        EXPECT_EQ(ran.out, "") << command;
    }
}

TEST(Status, SaysWhyAMachineNeverRan) {
    const Cli cli;
    cli.write("microvm.toml", "name = \"f\"\n[vm.a]\nqemu.program = \"qemu\"\n");
    const std::string program = cli.write("qemu", "#!/bin/sh\necho 'qemu: no such thing' >&2\nexit 1\n");
    ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
    ASSERT_EQ(cli.run({"apply"}).status, 1);
    const Ran ran = cli.run({"status"});
    EXPECT_THAT(ran.out, testing::ContainsRegex("\na +failed +[0-9]+s +could not be started: .*qemu: no such thing\n"));
    const nlohmann::json json = nlohmann::json::parse(cli.run({"status", "--json"}).out);
    EXPECT_EQ(json["vms"][0]["state"], "failed");
    EXPECT_TRUE(json["vms"][0]["ended"].is_number());
    EXPECT_EQ(cli.run({"destroy", "--yes"}).status, 0);
    EXPECT_EQ(cli.run({"status"}).out, "Nothing was applied yet.\n");
    EXPECT_FALSE(std::filesystem::exists(cli.state() + "/projects/f/a"));
}

} // namespace
} // namespace microvmc::boot
