#include "runtime/commands/include_reader.h"
#include "tests/boot/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace microvmc::boot {
namespace {

using testing::HasSubstr;

std::vector<std::string> paths(const Included& included) {
    std::vector<std::string> all;
    for (const SourceFile& file : included.files) { all.push_back(file.path); }
    return all;
}

TEST(IncludeReader, PatternsAndPaths) {
    const Cli cli;
    const std::string b = cli.write("conf.d/b.toml", "");
    const std::string a = cli.write("conf.d/a.toml", "");
    cli.write("conf.d/.hidden.toml", "");
    const std::string odd = cli.write("[x]/a.toml", "");
    EXPECT_EQ(paths(read_included(cli.dir() + "/conf.d/*.toml")), (std::vector<std::string>{a, b}));
    EXPECT_EQ(paths(read_included(cli.dir() + "/conf.d/b.toml")), (std::vector<std::string>{b}));
    EXPECT_EQ(paths(read_included(cli.dir() + "/\\[x]/a.toml")), (std::vector<std::string>{odd}));
    EXPECT_EQ(paths(read_included(cli.dir() + "/\\[x]/*.toml")), (std::vector<std::string>{odd}));
    for (const char* nothing : {"/conf.d/*.yaml", "/none/*.toml", "/conf.d/a.toml/*"}) {
        const Included included = read_included(cli.dir() + nothing);
        EXPECT_TRUE(included.files.empty()) << nothing;
        EXPECT_EQ(included.problem, "") << nothing;
    }
    EXPECT_EQ(read_included(cli.dir() + "/conf.d/c.toml").problem, "there is no such file");
    EXPECT_EQ(read_included(cli.dir() + "/conf.d").problem, "it is a directory");
}

TEST(IncludeReader, NeverHangsAndNeverTakesTooMuch) {
    const Cli cli;
    ASSERT_EQ(::mkfifo((cli.dir() + "/fifo.toml").c_str(), 0600), 0);
    ASSERT_EQ(::symlink("nowhere", (cli.dir() + "/link.toml").c_str()), 0);
    EXPECT_EQ(read_included(cli.dir() + "/fifo.toml").problem, "it is not a regular file");
    EXPECT_EQ(read_included(cli.dir() + "/link.toml").problem, "it is a link to a file that doesn't exist");
    EXPECT_EQ(read_included(cli.dir() + "/f*.toml").problem, cli.dir() + "/fifo.toml: it is not a regular file");
    EXPECT_EQ(read_included("/dev/zero").problem, "it is not a regular file");
    EXPECT_EQ(read_included("/dev/tty").problem, "it is not a regular file");
    for (int i = 0; i < 3; ++i) { cli.write(fmt::format("big/{}.toml", i), std::string(std::size_t{3} << 20, '#')); }
    EXPECT_THAT(read_included(cli.dir() + "/big/*.toml").problem, HasSubstr("more than 8 MiB"));
    EXPECT_THAT(read_included("/proc/*/*/*/*").problem, testing::AnyOf(HasSubstr("100000"), HasSubstr("denied")));
}

TEST(Include, AProblemIsShownAtTheInclude) {
    const Cli cli;
    cli.write("shop/microvm.toml", "include = [\"conf.d/*.toml\", \"gone.toml\"]\n");
    cli.write("shop/conf.d/a.toml", "[vm.a]\nvcpus = 2\n");
    const Ran ran = cli.run({"check", "shop/"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.err, "error[E0305]: can't include `gone.toml`: there is no such file\n"
                       " --> shop/microvm.toml:1:29\n"
                       "  |\n"
                       "1 | include = [\"conf.d/*.toml\", \"gone.toml\"]\n"
                       "  |                             ^^^^^^^^^^^\n");
    cli.write("shop/gone.toml", "");
    EXPECT_THAT(cli.run({"check", "shop/"}).err, HasSubstr(" --> shop/conf.d/a.toml:2:1\n"));
}

TEST(Include, SaysWhichProjectIsMeant) {
    const Cli cli;
    cli.write("microvm.toml", "include = [\"name.toml\"]\n[vm.a]\nenabled = false\n");
    cli.write("name.toml", "name = \"shop\"\n");
    ASSERT_EQ(cli.run({"apply"}).status, 0);
    EXPECT_THAT(cli.run({"status"}).out, HasSubstr("\na "));
    EXPECT_THAT(cli.run({"destroy", "--yes"}).out, HasSubstr("Destroyed a."));
}

// Machines that aren't enabled are recorded, and not started.
class SavedPlan : public testing::Test {
protected:
    void SetUp() override {
        cli.write("b.toml", "name = \"shop\"\ninclude = [\"c/*.toml\"]\n[vm.web]\nenabled = false\nvcpu = 1\n");
        cli.write("a.toml", "[vm.web]\nvcpu = 2\n");
        cli.write("c/1.toml", "[vm.web]\nvcpu = 3\nmem = 256\n");
        // Merged the other way round it would have one.
        const Ran made = cli.run({"plan", "-f", "b.toml", "-f", "a.toml", "--out", "plan.json"});
        ASSERT_EQ(made.status, 0) << made.err;
    }
    Ran apply() { return cli.run({"apply", "plan.json"}); }
    Cli cli;
};

TEST_F(SavedPlan, OfSeveralFilesKeepsTheirOrder) {
    const Ran ran = apply();
    ASSERT_EQ(ran.status, 0) << ran.err;
    const Ran status = cli.run({"status", "-f", "b.toml", "--json"});
    const nlohmann::json json = nlohmann::json::parse(status.out);
    EXPECT_EQ(json["vms"][0]["plan"]["vcpu"], 2);
    EXPECT_EQ(json["vms"][0]["plan"]["mem-mib"], 256);
}

TEST_F(SavedPlan, IsStaleWhenAnIncludedFileChanges) {
    cli.write("c/1.toml", "[vm.web]\nvcpu = 3\nmem = 512\n");
    const Ran ran = apply();
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.err, HasSubstr("plan.json is stale: c/1.toml has changed since"));
}

TEST_F(SavedPlan, IsStaleWhenAnotherFileIsIncluded) {
    cli.write("c/2.toml", "");
    EXPECT_THAT(apply().err, HasSubstr("plan.json is stale: it includes c/2.toml now"));
    cli.write("c/0.toml", "");
    EXPECT_THAT(apply().err, HasSubstr("is stale: "));
}

TEST_F(SavedPlan, IsStaleWhenAnIncludedFileIsGone) {
    ASSERT_EQ(::unlink((cli.dir() + "/c/1.toml").c_str()), 0);
    EXPECT_THAT(apply().err, HasSubstr("plan.json is stale: c/1.toml"));
}

} // namespace
} // namespace microvmc::boot
