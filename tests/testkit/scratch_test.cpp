#include "testkit/scratch.h"

#include "compiler/diagnostic.h"
#include "runtime/backend.h"
#include "testkit/load.h"

#include <gmock/gmock.h>

// ${scratch}: who has one, and where it comes into the machines.

namespace microvmc::testkit {

using ::testing::ElementsAre;

namespace {

Case only_case(const std::string& text) {
    Diagnostics diagnostics;
    Specs specs =
        load({}, {{.path = "spec.toml", .directory = "/home/me", .text = text}}, all_traits(), {}, diagnostics);
    EXPECT_TRUE(diagnostics.all().empty()) << render_text(diagnostics, specs.sources, false);
    return specs.cases.empty() ? Case{} : specs.cases.front();
}

} // namespace

TEST(Scratch, TakesItsPlaceInEveryTextOfAMachine) {
    const Case which = only_case(R"(
[vm.a]
shares.s = { source = "${scratch}/data", mount-point = "/s" }
volumes.v = { size = 16, mkfs-args = ["-d", "${scratch}/files"] }
root = { dir = "${scratch}/root" }
pre-start = [["cp", "${scratch}/x", "${scratch}/y"]]
env.WHERE = "${scratch}"
qemu.extra-args = ["-D", "${scratch}/log"]
[[step]]
guest = "true"
)");
    EXPECT_TRUE(which.apart);
    const Config config = placed(which.config, "/tmp/here");
    const VmConfig& vm = config.vms.at(0);
    EXPECT_EQ(vm.shares.at(0).source->value, "/tmp/here/data");
    EXPECT_EQ(vm.volumes.at(0).mkfs_args.at(1).value, "/tmp/here/files");
    EXPECT_EQ((*vm.root).dir->value, "/tmp/here/root");
    EXPECT_EQ(vm.pre_start.at(0).at(1).value, "/tmp/here/x");
    EXPECT_EQ(vm.pre_start.at(0).at(2).value, "/tmp/here/y");
    EXPECT_EQ(vm.env.at(0).second.value, "/tmp/here");
    EXPECT_EQ(vm.hypervisors.at(0).extra_args.at(1).value, "/tmp/here/log");
    EXPECT_EQ(placed(which.config, "").vms.at(0).shares.at(0).source->value, std::string(scratch_mark) + "/data");
}

TEST(Scratch, IsHadByWhoeverSpeaksOfIt) {
    const auto apart = [](const std::string& step) { return only_case("[vm.a]\n[[step]]\n" + step).apart; };
    EXPECT_TRUE(apart("host = ['cat', '${scratch}/x']"));
    EXPECT_TRUE(apart("host = ['sh', '-c', 'cat $scratch/x']"));
    EXPECT_TRUE(apart("guest = 'true'\nexpect.equals = '${scratch}'"));
    EXPECT_FALSE(apart("host = ['sh', '-c', 'cat $scratchy/x scratch']"));
    EXPECT_TRUE(only_case("prepare = [['true']]\n[vm.a]\n[[step]]\nguest = 'true'").apart);
}

} // namespace microvmc::testkit
