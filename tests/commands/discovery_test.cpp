// The commands that tell what there is: init, schema, explain, hypervisors, completion. Nothing boots.

#include "tests/boot/cli.h"

#include "compiler/diagnostic_codes.h"
#include "compiler/traits.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace microvmc {

namespace {

namespace fs = std::filesystem;
using boot::Cli;

std::string content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<std::string> files_below(const std::string& directory) {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        if (entry.is_regular_file()) { found.push_back(entry.path().lexically_relative(directory).string()); }
    }
    return found;
}

TEST(Init, EachTemplateIsRightAsItIs) {
    const Cli cli;
    const Ran list = cli.run({"init", "--list"});
    ASSERT_EQ(list.status, 0) << list.err;
    std::istringstream lines(list.out);
    std::string line;
    std::getline(lines, line);
    int count = 0;
    while (std::getline(lines, line)) {
        const std::string name = line.substr(0, line.find(' '));
        EXPECT_GT(line.find_last_not_of(' '), name.size() + 10) << "it says what it is: " << line;
        const Ran made = cli.run({"init", name, "--template", name});
        EXPECT_EQ(made.status, 0) << made.err;
        EXPECT_NE(made.out.find("wrote " + name + "/microvm.toml"), std::string::npos) << made.out;
        EXPECT_NE(made.out.find("cd " + name), std::string::npos) << made.out;
        const Ran checked = cli.run({"check", name + "/microvm.toml"});
        EXPECT_EQ(checked.status, 0) << name << ": " << checked.err;
        EXPECT_EQ(checked.err, "");
        ++count;
    }
    EXPECT_GE(count, 4);
}

TEST(Init, WritesAllOrNothingAndOverwritesNothing) {
    const Cli cli;
    const std::string page = cli.write("www/index.html", "mine\n");
    const std::vector<std::string> before = files_below(cli.dir());
    Ran ran = cli.run({"init"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("www/index.html exists already"), std::string::npos) << ran.err;
    EXPECT_EQ(files_below(cli.dir()), before);
    EXPECT_EQ(content(page), "mine\n");

    ran = cli.run({"init", "new/place"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    const std::string made = content(cli.dir() + "/new/place/microvm.toml");
    ran = cli.run({"init", "new/place", "--template", "matrix"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(content(cli.dir() + "/new/place/microvm.toml"), made);
    // A dangling link is something, too.
    fs::create_directory(cli.dir() + "/linked");
    fs::create_symlink("/nowhere/microvm.toml", cli.dir() + "/linked/microvm.toml");
    ran = cli.run({"init", "linked", "--template", "matrix"});
    EXPECT_EQ(ran.status, 1) << ran.out;
    EXPECT_EQ(cli.run({"init", "--template", "castle"}).status, 64);
}

TEST(Explain, KnowsEachCode) {
    const Cli cli;
    const Ran ran = cli.run({"explain", "E0201"});
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.out.find("E0201  There is no such key\n\n"), 0U) << ran.out;
    EXPECT_NE(ran.out.find("misspelt"), std::string::npos) << ran.out;
    EXPECT_EQ(cli.run({"explain", "e0201"}).out, ran.out);
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) { EXPECT_LE(line.size(), 100U); }
}

TEST(Explain, AnUnknownCodeGetsTheNearest) {
    const Cli cli;
    Ran ran = cli.run({"explain", "E0299"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("there is no code E0299"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("did you mean E02"), std::string::npos) << ran.err;
    ran = cli.run({"explain", "web\x1b[31m"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_EQ(ran.err.find('\x1b'), std::string::npos) << "control characters never reach the terminal";
}

TEST(Explain, SaysWhatIsBehindTheChoiceOfAHypervisor) {
    const Cli cli;
    cli.write("microvm.toml", R"([vm.fits]
[vm.web]
count = 2
vcpu = 1000
forward-ports = ["[::1]:8080:80"]
)");
    Ran ran = cli.run({"explain", "fits"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("chosen  the first that can do it all"), std::string::npos) << ran.out;
    ran = cli.run({"explain", "web", "--json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    const nlohmann::json said = nlohmann::json::parse(ran.out);
    EXPECT_EQ(said.at("vm"), "web-1");
    const nlohmann::json& qemu = said.at("hypervisors").at(0);
    EXPECT_EQ(qemu.at("hypervisor"), "qemu");
    EXPECT_FALSE(qemu.at("chosen"));
    EXPECT_EQ(qemu.at("reasons").size(), 2U) << "each, not only the first: " << ran.out;
    ran = cli.run({"explain", "fit"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("did you mean `fits`?"), std::string::npos) << ran.err;
}

TEST(Hypervisors, ShowsEachCapability) {
    const Cli cli;
    const Ran table = cli.run({"hypervisors"});
    const Ran ran = cli.run({"hypervisors", "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const nlohmann::json qemu = nlohmann::json::parse(ran.out).at("hypervisors").at(0);
    EXPECT_EQ(qemu.at("name"), "qemu");
    EXPECT_FALSE(qemu.at("installed").at("version").get<std::string>().empty());
    EXPECT_EQ(qemu.at("capabilities").size(), known_capabilities().size());
    for (const auto& [name, capability] : qemu.at("capabilities").items()) {
        EXPECT_NE(table.out.find("\n" + name + " "), std::string::npos) << name;
        if (capability.at("support") == "unsupported") { EXPECT_TRUE(capability.contains("why")) << name; }
    }
    EXPECT_EQ(qemu.at("capabilities").at("volume.raw").at("support"), "native");
    const Ran why = cli.run({"hypervisors", "--why"});
    EXPECT_NE(why.out.find("the user network forwards IPv4 only"), std::string::npos) << why.out;
    EXPECT_NE(why.out.find("macOS"), std::string::npos) << why.out;
}

TEST(Completion, MachinesAreNamedAndErrorsAreSilent) {
    const Cli cli;
    cli.write("microvm.toml", "[vm.web]\ncount = 2\n[vm.db]\n");
    cli.write("over.toml", "[vm.extra]\n");
    cli.write("wrong.toml", "[vm.web]\nvcpus = 1\n");
    EXPECT_EQ(cli.run({"__complete", "vms"}).out, "web-1\nweb-2\ndb\n");
    EXPECT_EQ(cli.run({"__complete", "vms", "-f", "microvm.toml", "-f", "over.toml"}).out, "web-1\nweb-2\ndb\nextra\n");
    for (const char* file : {"wrong.toml", "missing.toml", "/dev/zero", "."}) {
        const Ran ran = cli.run({"__complete", "vms", "-f", file});
        EXPECT_EQ(ran.status, 0) << file;
        EXPECT_EQ(ran.err, "") << file;
    }
    EXPECT_TRUE(fs::is_empty(cli.state())) << "completing leaves nothing behind";
}

TEST(Completion, HiddenCommandsStayHidden) {
    const Cli cli;
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const Ran ran = cli.run({"completion", shell});
        EXPECT_EQ(ran.status, 0);
        EXPECT_EQ(ran.out.find("__complete)"), std::string::npos);
        EXPECT_EQ(ran.out.find("markdown"), std::string::npos);
        EXPECT_NE(ran.out.find("detailed-exitcode"), std::string::npos);
    }
    EXPECT_EQ(cli.run({"--help"}).out.find("__complete"), std::string::npos);
    EXPECT_EQ(cli.run({"completion", "tcsh"}).status, 64);
}

} // namespace

} // namespace microvmc
