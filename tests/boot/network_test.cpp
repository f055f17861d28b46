// Networks of a project, on real guests: in a network namespace of the test's own, which its children inherit.

#include "tests/boot/cli.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdlib>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace microvmc::boot {

namespace {

Ran sh(const std::string& command) {
    return run_program({"/bin/sh", "-c", command});
}

class Network : public ::testing::Test {
protected:
    void SetUp() override {
        if (::geteuid() != 0) { GTEST_SKIP() << "taps need root"; }
        ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "a network namespace of its own";
        ASSERT_EQ(sh("ip link set lo up").status, 0);
    }
    void apply() const {
        const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
        ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
    }
    static std::string links() { return sh("ip -o link | cut -d: -f2 | tr -d ' \\n'").out; }
    static std::string rules() { return sh("nft list ruleset").out; }

    Cli cli;
};

constexpr const char* two_machines = R"(name = "net"
[network.lan]
subnet = "10.9.0.0/24"

[vm.a]
mem = "192MiB"
interfaces.lan = { network = "lan", address = "10.9.0.5" }
forward-ports = ["8099:80"]
command = ["sh", "-c", "echo from-a > /index.html; exec httpd -f -p 80 -h /"]
ready.http = ":80/index.html"

[vm.b]
mem = "192MiB"
interfaces.lan.network = "lan"
ready.command = ["sh", "-c", "wget -qO- http://10.9.0.5/index.html | grep -q from-a && nslookup a.lan 10.9.0.1 | grep -q 10.9.0.5"]

[vm.later]
enabled = false
interfaces.lan = { network = "lan", address = "10.9.0.77", mac = "02:00:00:00:00:77" }
)";

} // namespace

TEST_F(Network, MachinesReachEachOtherByNameAndTheHostReachesThem) {
    cli.write("microvm.toml", two_machines);
    apply(); // b gets ready only when it reaches a
    EXPECT_EQ(http_get(8099, "/index.html"), "from-a\n") << "by the host's loopback\n" << rules();
    EXPECT_EQ(sh("curl --fail --silent --max-time 5 http://10.9.0.5/index.html").out, "from-a\n");

    // Who has a machine's MAC gets its address, and nobody else gets one.
    const Ran leased = sh("bridge=$(ip -o link show type bridge | cut -d: -f2 | tr -d ' ');"
                          "ip link add v0 type veth peer name v1; ip link set v0 master $bridge; ip link set v0 up;"
                          "ip link set v1 address 02:00:00:00:00:77; ip link set v1 up;"
                          "busybox udhcpc -f -n -q -t 5 -T 1 -i v1 -s /bin/true 2>&1; ip link del v0");
    EXPECT_NE(leased.out.find("lease of 10.9.0.77 obtained"), std::string::npos) << leased.out;

    const Ran ran = cli.run({"destroy", "--yes", "microvm.toml"});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(links(), "lo");
    EXPECT_EQ(rules(), "");
    EXPECT_TRUE(cli.processes().empty());
}

TEST_F(Network, WhatAKilledMachineLeavesIsTakenAwayByTheNextCommand) {
    cli.write("microvm.toml", two_machines);
    apply();
    for (const auto& [pid, name] : cli.processes()) { ::kill(pid, SIGKILL); }
    for (int i = 0; i < 100 && !cli.processes().empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ASSERT_NE(links(), "lo") << "or there is nothing to prove";
    apply();
    EXPECT_EQ(http_get(8099, "/index.html"), "from-a\n");
    EXPECT_EQ(cli.run({"stop", "microvm.toml"}).status, 0);
    EXPECT_EQ(links(), "lo") << "a network without machines goes";
    EXPECT_EQ(rules(), "");
    EXPECT_EQ(cli.run({"start", "-p", "net", "a"}).status, 0);
    EXPECT_EQ(http_get(8099, "/index.html"), "from-a\n") << "as it was applied last, without the file";
}

TEST_F(Network, AnIsolatedNetworkLeadsNowhere) {
    // A host beyond, which would be reached through this one.
    ASSERT_EQ(
        sh("ip link add up0 type veth peer name up1 && ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up").status,
        0);
    cli.write("microvm.toml", R"(name = "net"
[network.dark]
mode = "isolated"
subnet = "10.10.0.0/24"
[vm.a]
mem = "192MiB"
interfaces.dark = { network = "dark", address = "10.10.0.5" }
command = ["sh", "-c", "ip route; echo shown; exec sleep 1000"]
ready.console = "shown"
)");
    apply();
    const Ran logs = cli.run({"logs", "microvm.toml", "a"});
    EXPECT_NE(logs.out.find("10.10.0.0/24"), std::string::npos) << logs.out;
    EXPECT_EQ(logs.out.find("default"), std::string::npos) << logs.out;
    EXPECT_NE(rules().find("drop"), std::string::npos);
    EXPECT_EQ(cli.run({"destroy", "--yes", "microvm.toml"}).status, 0);
    EXPECT_EQ(sh("ip -o link show type bridge").out, "");
}

TEST_F(Network, AnInterfaceOfOthersIsNeverTouched) {
    cli.write("microvm.toml", two_machines);
    const Ran planned = cli.run({"plan", "--json", "microvm.toml"});
    const auto plan = nlohmann::json::parse(planned.out).at("plan");
    const auto bridge = plan.at("networks").at(0).at("bridge").get<std::string>();
    ASSERT_EQ(sh("ip link add " + bridge + " type bridge").status, 0);
    const Ran ran = cli.run({"apply", "--yes", "microvm.toml"});
    EXPECT_EQ(ran.status, 1);
    EXPECT_NE(ran.err.find("not ours"), std::string::npos) << ran.err;
    EXPECT_EQ(links(), "lo" + bridge);
    EXPECT_EQ(rules(), "");
}

} // namespace microvmc::boot
