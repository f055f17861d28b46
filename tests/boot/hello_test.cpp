// The hello example's life, through the command line, on real QEMU guests.

#include "tests/boot/cli.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <thread>

namespace microvmc::boot {

namespace {

std::string hello(const std::string& extra = {}, const std::string& mem = "256MiB", const std::string& size = "64MiB") {
    return R"(name = "hello"
[vm.web]
mem = ")" + mem +
           R"("
command = ["httpd", "-f", "-p", "80", "-h", "/srv/www"]
volumes.data = { size = ")" +
           size + R"(", mount-point = "/data" }
shares.www = { source = "www", mount-point = "/srv/www", read-only = true }
forward-ports.web.guest.port = 80
ready.http = ":80/"
)" + extra;
}

nlohmann::json status_of(const Cli& cli) {
    const Ran ran = cli.run({"status", "--json", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out).at("vms").at(0);
}

std::uint16_t port_of(const Cli& cli) {
    return status_of(cli).at("plan").at("interfaces").at(0).at("forwards").at(0).at("host-port").get<std::uint16_t>();
}

class Hello : public ::testing::Test {
protected:
    void SetUp() override {
        cli.write("www/index.html", "hello from the host\n");
        cli.write("microvm.toml", hello());
    }
    void apply() const {
        const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
    }
    Cli cli;
};

} // namespace

TEST_F(Hello, ServesAPageAndIsGoneAfterDestroy) {
    Ran ran = cli.run({"plan", "--detailed-exitcode", "microvm.toml"});
    EXPECT_EQ(ran.status, 2) << ran.err;
    EXPECT_NE(ran.out.find("+ web"), std::string::npos) << ran.out;

    apply();
    EXPECT_EQ(http_get(port_of(cli), "/"), "hello from the host\n");
    EXPECT_EQ(status_of(cli).at("state"), "ready");

    ran = cli.run({"plan", "--detailed-exitcode", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.out;
    ran = cli.run({"apply", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("Nothing to do"), std::string::npos) << ran.out;

    ran = cli.run({"destroy", "--yes", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_TRUE(cli.processes().empty());
    EXPECT_TRUE(cli.leftovers().empty()) << cli.leftovers().front();
    EXPECT_TRUE(std::filesystem::exists(cli.state() + "/projects/hello/web/volumes/data.img")) << "data is kept";

    apply();
    ran = cli.run({"destroy", "--yes", "--with-volumes", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_FALSE(std::filesystem::exists(cli.state() + "/projects/hello/web"));
}

TEST_F(Hello, StopIsGracefulAndStartNeedsNoFile) {
    apply();
    Ran ran = cli.run({"stop", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("powered off"), std::string::npos) << ran.out;
    EXPECT_TRUE(cli.processes().empty());
    EXPECT_TRUE(cli.leftovers().empty());
    EXPECT_EQ(status_of(cli).at("state"), "stopped");
    EXPECT_EQ(status_of(cli).at("end").at("kind"), "poweroff");

    std::filesystem::remove(cli.dir() + "/microvm.toml");
    ran = cli.run({"start", "-p", "hello", "web"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    cli.write("microvm.toml", hello());
    EXPECT_EQ(http_get(port_of(cli), "/"), "hello from the host\n");
}

TEST_F(Hello, AChangedFileRestartsAfterSayingSo) {
    apply();
    const auto before = status_of(cli).at("supervisor");
    cli.write("microvm.toml", hello({}, "320MiB", "96MiB"));
    Ran ran = cli.run({"apply", "microvm.toml"});
    EXPECT_EQ(ran.status, 1) << "restarts without --yes and without a terminal are refused";
    EXPECT_NE(ran.err.find("--yes"), std::string::npos) << ran.err;
    EXPECT_EQ(status_of(cli).at("supervisor"), before);

    ran = cli.run({"apply", "--yes", "microvm.toml"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("256MiB -> 320MiB"), std::string::npos) << ran.out;
    EXPECT_NE(status_of(cli).at("supervisor"), before);
    EXPECT_EQ(std::filesystem::file_size(cli.state() + "/projects/hello/web/volumes/data.img"), 96U << 20U);

    cli.write("microvm.toml", hello({}, "320MiB", "64MiB"));
    ran = cli.run({"apply", "--yes", "microvm.toml"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("E0601"), std::string::npos) << ran.err;
    EXPECT_EQ(status_of(cli).at("state"), "ready") << "a refused change touches nothing";
}

// More devices than QEMU's microvm machine has slots: the other machine, over PCI.
TEST_F(Hello, ManyVolumesGetAPciMachine) {
    std::string volumes;
    for (int i = 1; i <= 22; ++i) {
        volumes +=
            "volumes.v" + std::to_string(i) + " = { size = 16, mount-point = \"/v" + std::to_string(i) + "\" }\n";
    }
    cli.write("microvm.toml", hello(volumes));
    apply();
    EXPECT_EQ(status_of(cli).at("plan").at("machine"), "q35");
    EXPECT_EQ(http_get(port_of(cli), "/"), "hello from the host\n");
    const Ran ran = cli.run({"stop", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("powered off"), std::string::npos) << ran.out;
}

TEST_F(Hello, ASavedPlanIsAppliedAndAStaleOneRefused) {
    ASSERT_EQ(cli.run({"plan", "--out", "saved.json", "microvm.toml"}).status, 0);
    cli.write("microvm.toml", hello("# changed\n"));
    Ran ran = cli.run({"apply", "saved.json"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("stale"), std::string::npos) << ran.err;
    EXPECT_NE(ran.err.find("microvm.toml"), std::string::npos) << ran.err;
    cli.write("microvm.toml", hello());
    ran = cli.run({"apply", "saved.json"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(http_get(port_of(cli), "/"), "hello from the host\n");
}

TEST_F(Hello, ConsoleAndLogsShowTheGuest) {
    cli.write("microvm.toml", R"(name = "hello"
[vm.web]
command = ["sh", "-c", "echo marker-$((40 + 2)); cat"]
ready.console = "marker-42"
)");
    apply();
    const Ran ran = cli.run({"logs", "microvm.toml", "web"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("marker-42"), std::string::npos) << ran.out;
}

TEST_F(Hello, TheEndOfTheMainProcessIsTheMachines) {
    cli.write("microvm.toml", R"(name = "hello"
[vm.web]
command = ["sh", "-c", "exit 7"]
ready.exit = 7
)");
    apply();
    for (int i = 0; i < 100 && status_of(cli).at("state") != "stopped"; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const auto status = status_of(cli);
    EXPECT_EQ(status.at("end").at("kind"), "exited");
    EXPECT_EQ(status.at("end").at("status"), 7);
    EXPECT_TRUE(cli.leftovers().empty());
}

TEST_F(Hello, ReadinessThatNeverComesFailsWithinItsTimeAndUndoes) {
    cli.write("microvm.toml", hello("startup-timeout = 6\nready.tcp = 81\n"));
    const std::string text = hello();
    cli.write("microvm.toml", text.substr(0, text.find("ready.http")) + "startup-timeout = 6\nready.tcp = 81\n");
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    EXPECT_EQ(ran.status, 3) << ran.out << ran.err;
    EXPECT_NE(ran.err.find("81"), std::string::npos) << "names what it waited for: " << ran.err;
    EXPECT_TRUE(cli.processes().empty());
    EXPECT_TRUE(cli.leftovers().empty());
}

TEST_F(Hello, RunGivesTheGuestsStatusAndCleanOutput) {
    Ran ran = cli.run({"run", "--", "sh", "-c", "printf 'a\\000b'; pwd; exit 9"});
    EXPECT_EQ(ran.status, 9) << ran.err;
    EXPECT_EQ(ran.out, std::string("a\0b", 3) + cli.dir() + "\n");
    EXPECT_TRUE(cli.processes().empty());
    EXPECT_TRUE(cli.leftovers().empty());
}

TEST_F(Hello, KernelParametersArriveWhole) {
    cli.write("microvm.toml", R"(name = "hello"
[vm.web]
kernel-params = ["my.text=with space, comma=and equals", "plain"]
command = ["sh", "-c", "cat /proc/cmdline; echo shown"]
ready.console = "shown"
)");
    apply();
    const Ran ran = cli.run({"logs", "microvm.toml", "web"});
    EXPECT_NE(ran.out.find(R"("my.text=with space, comma=and equals" plain)"), std::string::npos) << ran.out;
}

} // namespace microvmc::boot
