#include "runtime/backend.h"
#include "runtime/error.h"
#include "tests/runtime/sample.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace microvmc::test {

namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const Backend& its() {
    return backend("stratovirt");
}

VmPlan sample() {
    VmPlan vm = kvm_vm("stratovirt", "/usr/bin/stratovirt");
    vm.program_version = "2.5.0";
    vm.shares.clear();
    vm.kernel.params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    return vm;
}

std::vector<Problem> problems(const VmPlan& vm) {
    return its().traits.choose_machine(vm, sample_facts()).problems;
}

} // namespace

TEST(Stratovirt, HasWhatThePlanSays) {
    VmPlan vm = sample();
    vm.kernel.image = KernelImage::bzimage;
    const Lowered lowered = its().lower(vm, "/cache/initramfs");
    const auto& argv = lowered.children.back().argv;
    EXPECT_THAT(values(argv, "-machine"), ElementsAre("microvm,dump-guest-core=off,mem-share=off"));
    EXPECT_THAT(values(argv, "-kernel"), ElementsAre(HasSubstr("/vmlinuz")));
    EXPECT_THAT(values(argv, "-m"), ElementsAre("256M"));
    EXPECT_THAT(values(argv, "-append"), ElementsAre("console=ttyS0 quiet rdinit=/microvmc/init panic=-1 reboot=t"));
    EXPECT_THAT(values(argv, "-serial"), ElementsAre("stdio"));
    EXPECT_THAT(values(argv, "-chardev"),
                ElementsAre("socket,path=/run/microvmc/hello/web/agent.sock,server,nowait,id=hvc"));
    EXPECT_THAT(values(argv, "-drive"),
                ElementsAre("id=disk0,file=/var/lib/microvmc/projects/hello/web/volumes/data.img,format=raw,"
                            "readonly=off,direct=off,discard=ignore"));
    EXPECT_THAT(values(argv, "-netdev"), ElementsAre("tap,id=interface0,ifname=mv0123456789"));
    EXPECT_THAT(values(argv, "-device"),
                Contains("virtio-blk-device,id=disk0-device,drive=disk0,serial=mv0123456789abcdef01"));
    EXPECT_EQ(lowered.end, "reboot");
    EXPECT_EQ(lowered.agent_device, "tty:/dev/hvc0");
}

TEST(Stratovirt, InterfacesAreTapsMacvtapsOrTheKernels) {
    VmPlan vm = sample();
    vm.kernel.image = KernelImage::bzimage;
    vm.interfaces.front().vhost = "on";
    EXPECT_THAT(values(argv_of(vm), "-netdev"), ElementsAre("tap,id=interface0,ifname=mv0123456789,vhost=on"));
    vm.interfaces.front().vhost = "off";
    vm.interfaces.front().type = "macvtap";
    const Lowered lowered = its().lower(vm, "");
    const Child& vmm = lowered.children.back();
    ASSERT_THAT(vmm.descriptors, SizeIs(1));
    EXPECT_THAT(values(vmm.argv, "-netdev"),
                ElementsAre(fmt::format("tap,id=interface0,fd={}", vmm.descriptors.front().number)));
}

TEST(Stratovirt, AnInterfaceOfTheKernelsTakesTheirPlaceWhoHaveNone) {
    HostFacts facts = sample_facts();
    facts.paths["/dev/vhost-net"] = {.kind = PathFacts::Kind::other, .readable = true, .writable = true};
    VmPlan vm = sample();
    const auto problems = [&] { return its().traits.choose_machine(vm, facts).problems.size(); };
    vm.interfaces.assign(3, vm.interfaces.front());
    EXPECT_EQ(problems(), 1U) << "two places of interfaces";
    vm.interfaces.front().vhost = "on";
    EXPECT_EQ(problems(), 0U);
    vm.interfaces.assign(4, vm.interfaces.front());
    EXPECT_EQ(problems(), 1U) << "five of other devices, of which two are taken";
}

TEST(Stratovirt, TheAgentHasTheOtherPort) {
    VmPlan vm = sample();
    vm.console = "virtio";
    EXPECT_THAT(values(argv_of(vm), "-serial"),
                ElementsAre("socket,path=/run/microvmc/hello/web/agent.sock,server,nowait"));
    EXPECT_THAT(values(argv_of(vm), "-chardev"), ElementsAre("stdio,id=hvc"));
    EXPECT_EQ(its().lower(vm, "").agent_device, "tty:/dev/ttyS0");
    vm.console = "off";
    EXPECT_THAT(values(argv_of(vm), "-serial"), IsEmpty());
    EXPECT_FALSE(its().lower(vm, "").children.back().console);
}

TEST(Stratovirt, WhatAnOptionCantSayIsRefused) {
    const VmPlan good = sample();
    ASSERT_THAT(problems(good), IsEmpty());
    for (const char* odd : {"/a,b", "/a=b", "/a,readonly=off", "-a"}) {
        VmPlan vm = good;
        vm.volumes.front().image = odd;
        ASSERT_THAT(problems(vm), SizeIs(1)) << odd;
        EXPECT_EQ(problems(vm).front().key, "volumes.data.image");
        EXPECT_THROW(argv_of(vm), Error) << odd;
        vm = good;
        vm.volumes.front().serial = odd;
        EXPECT_EQ(problems(vm).front().key, "volumes.data.serial") << odd;
        EXPECT_THROW(argv_of(vm), Error) << odd;
        vm = good;
        vm.shares = {virtiofs_share("www")};
        vm.shares.front().tag = odd;
        EXPECT_EQ(problems(vm).front().key, "shares.www.tag") << odd;
        EXPECT_THROW(argv_of(vm), Error) << odd;
        vm.shares.front().tag = "www";
        vm.runtime_dir = odd;
        EXPECT_FALSE(problems(vm).empty()) << odd;
        EXPECT_THROW(argv_of(vm), Error) << odd;
    }
    VmPlan vm = good;
    vm.volumes.front().image = "/a b \"c\" 'd' 100% \\ : h\xc3\xa4t\n.img"; // all else is as it is
    EXPECT_THAT(problems(vm), IsEmpty());
    EXPECT_THAT(values(argv_of(vm), "-drive"), ElementsAre(HasSubstr("file=" + vm.volumes.front().image + ",")));
}

TEST(Stratovirt, HasRoomForSoMuch) {
    VmPlan vm = sample();
    vm.volumes.resize(4, vm.volumes.front());
    vm.interfaces.resize(2, vm.interfaces.front());
    vm.shares = {virtiofs_share("a"), virtiofs_share("b"), virtiofs_share("c")};
    EXPECT_THAT(problems(vm), IsEmpty());
    vm.balloon.mode = BalloonPlan::Mode::on;
    EXPECT_THAT(problems(vm), SizeIs(1));
    vm.volumes.resize(5, vm.volumes.front());
    vm.interfaces.resize(3, vm.interfaces.front());
    vm.mem_mib = 127;
    EXPECT_THAT(problems(vm), SizeIs(4));
}

TEST(Stratovirt, LongWordsAreRefused) {
    VmPlan vm = sample();
    vm.kernel.params.push_back("a=" + std::string(255, 'x'));
    EXPECT_THAT(problems(vm), IsEmpty());
    vm.kernel.params.back() += 'x';
    ASSERT_THAT(problems(vm), SizeIs(1));
    EXPECT_EQ(problems(vm).front().key, "kernel-params");
    vm = sample();
    EXPECT_THROW(its().lower(vm, "/" + std::string(255, 'x')), Error);
    for (int i = 0; i < 7; ++i) { vm.kernel.params.push_back("a=" + std::string(250, 'x')); }
    EXPECT_THROW(argv_of(vm), Error) << "2047 bytes, with what is said of devices";
}

TEST(Stratovirt, ASharesServerWorksInTheGuestsMemory) {
    VmPlan vm = sample();
    vm.shares = {virtiofs_share("www")};
    const Lowered lowered = its().lower(vm, "");
    ASSERT_THAT(lowered.children, SizeIs(2));
    const auto& argv = lowered.children.back().argv;
    EXPECT_THAT(values(argv, "-machine"), ElementsAre(HasSubstr("mem-share=on")));
    EXPECT_THAT(values(argv, "-chardev"), Contains("socket,id=share0,path=/run/microvmc/hello/web/fs0.sock"));
    EXPECT_THAT(values(argv, "-device"), Contains("vhost-user-fs-device,id=share0-device,chardev=share0,tag=www"));
}

TEST(Stratovirt, BootsABzImageOnly) {
    HostFacts facts = sample_facts();
    facts.kernels.front().image = KernelImage::elf;
    const MachineChoice choice = its().traits.choose_machine(sample(), facts);
    ASSERT_THAT(choice.problems, SizeIs(1));
    EXPECT_EQ(choice.problems.front().key, "kernel");
}

} // namespace microvmc::test
