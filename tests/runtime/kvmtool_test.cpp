#include "runtime/backend.h"
#include "runtime/error.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microvmc::test {

namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const Backend& its() {
    return backend("kvmtool");
}

VmPlan sample() {
    VmPlan vm = kvm_vm("kvmtool", "/usr/bin/lkvm");
    vm.interfaces.clear();
    vm.kernel.params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    return vm;
}

HostFacts as_root() {
    HostFacts facts = sample_facts();
    facts.uid = 0;
    return facts;
}

std::vector<Problem> problems(const VmPlan& vm) {
    return its().traits.choose_machine(vm, as_root()).problems;
}

Child vmm(const VmPlan& vm) {
    return its().lower(vm, "/cache/initramfs").children.back();
}

} // namespace

TEST(Kvmtool, HasWhatThePlanSays) {
    const VmPlan vm = sample();
    const Lowered lowered = its().lower(vm, "/cache/initramfs");
    const Child& child = lowered.children.back();
    EXPECT_EQ(std::vector<std::string>(child.argv.begin(), child.argv.begin() + 5),
              (std::vector<std::string>{"/usr/bin/env", "--ignore-signal=PIPE", "HOME=/run/microvmc/hello/web",
                                        "/usr/bin/lkvm", "run"}));
    EXPECT_THAT(values(child.argv, "-d"), ElementsAre("/var/lib/microvmc/projects/hello/web/volumes/data.img"));
    EXPECT_THAT(values(child.argv, "--9p"), ElementsAre(vm.shares.front().source + "," + vm.shares.front().tag));
    EXPECT_THAT(values(child.argv, "-n"), ElementsAre("mode=none")) << "else it has one to its own network";
    EXPECT_THAT(child.read_only, ElementsAre(vm.shares.front().source));
    EXPECT_FALSE(lowered.serials);
    EXPECT_EQ(lowered.agent.doubled, "\x01");
    EXPECT_EQ(lowered.agent_device, "tty:/dev/ttyS1");
    EXPECT_THAT(vm.kernel.params, Contains("8250.nr_uarts=4"));
}

TEST(Kvmtool, DisksSayWhatTheyAre) {
    VmPlan vm = sample();
    vm.volumes.front().read_only = true;
    vm.volumes.front().direct = true;
    EXPECT_THAT(values(vmm(vm).argv, "-d"),
                ElementsAre("/var/lib/microvmc/projects/hello/web/volumes/data.img,ro,direct"));
    vm.volumes.resize(4, vm.volumes.front());
    EXPECT_THAT(problems(vm), IsEmpty());
    vm.volumes.resize(5, vm.volumes.front());
    EXPECT_THAT(problems(vm), SizeIs(1));
}

TEST(Kvmtool, ACommaInAPathIsRefused) {
    VmPlan vm = sample();
    ASSERT_THAT(problems(vm), IsEmpty());
    vm.volumes.front().image = "/a,ro";
    ASSERT_THAT(problems(vm), SizeIs(1));
    EXPECT_EQ(problems(vm).front().key, "volumes.data.image");
    EXPECT_THROW(vmm(vm), Error);
    vm = sample();
    vm.shares.front().source = "/a,b";
    ASSERT_THAT(problems(vm), SizeIs(1));
    EXPECT_EQ(problems(vm).front().key, "shares." + vm.shares.front().name + ".source");
    EXPECT_THROW(vmm(vm), Error);
    vm = sample();
    vm.volumes.front().image = "/a b=c \"d\" 100% \\ h\xc3\xa4t\n.img";
    vm.shares.front().tag = "a,b";
    EXPECT_THAT(problems(vm), IsEmpty());
    EXPECT_THAT(values(vmm(vm).argv, "-d"), ElementsAre(vm.volumes.front().image));
}

TEST(Kvmtool, AReadOnlyShareIsNoPlaceForWhatItWrites) {
    VmPlan vm = sample();
    vm.shares.front().source = "/var/lib/microvmc";
    ASSERT_THAT(problems(vm), SizeIs(1));
    vm.shares.front().source = "/";
    EXPECT_THAT(problems(vm), SizeIs(2)) << "its socket as well";
    vm.shares.front().source = "/var/lib/microvm";
    EXPECT_THAT(problems(vm), IsEmpty());
    HostFacts facts = as_root();
    facts.uid = 1000;
    EXPECT_THAT(its().traits.choose_machine(vm, facts).problems, SizeIs(1));
    vm.shares.front().source = "/";
    vm.shares.front().read_only = false;
    EXPECT_THAT(its().traits.choose_machine(vm, facts).problems, IsEmpty());
}

TEST(Kvmtool, ItsOwnWordsNeedRoomOnTheCommandLine) {
    VmPlan vm = sample();
    vm.kernel.params.push_back(std::string(1'850, 'x'));
    EXPECT_THROW(vmm(vm), Error);
}

} // namespace microvmc::test
