#include "runtime/backend.h"
#include "runtime/error.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace microvmc::test {

namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Backend& its() {
    return backend("alioth");
}

VmPlan sample() {
    VmPlan vm = kvm_vm("alioth", "/usr/bin/alioth");
    vm.shares.clear();
    vm.kernel.params = its().traits.choose_machine(vm, sample_facts()).kernel_params;
    return vm;
}

} // namespace

TEST(Alioth, HasWhatThePlanSays) {
    VmPlan vm = sample();
    const Lowered lowered = its().lower(vm, "/cache/initramfs");
    const auto& argv = lowered.children.back().argv;
    EXPECT_THAT(values(argv, "-m"), ElementsAre("size=256M"));
    EXPECT_THAT(values(argv, "-p"), ElementsAre("count=1"));
    EXPECT_THAT(values(argv, "--vsock"), ElementsAre("uds,cid=3,path=id_0"));
    EXPECT_THAT(values(argv, "--blk"), ElementsAre("file,path=id_1,readonly=false"));
    EXPECT_THAT(values(argv, "--net"), ElementsAre("tap,mac=02:00:5e:01:02:03,mtu=1500,if=id_2"));
    EXPECT_THAT(values(argv, "-o"),
                ElementsAre("id_0,/run/microvmc/hello/web/vsock.sock",
                            "id_1,/var/lib/microvmc/projects/hello/web/volumes/data.img", "id_2,mv0123456789"));
    EXPECT_EQ(lowered.agent_device, "vsock-host:1836477795");
    EXPECT_TRUE(lowered.control.empty());
    EXPECT_FALSE(lowered.serials);
}

TEST(Alioth, AKernelHasAnOptionForItsForm) {
    VmPlan vm = sample();
    vm.kernel.image = KernelImage::bzimage;
    EXPECT_THAT(values(argv_of(vm), "-k"), ElementsAre(HasSubstr("/vmlinuz")));
    EXPECT_THAT(its().kernel_options(vm), Contains("RELOCATABLE"));
    vm.kernel.image = KernelImage::elf;
    EXPECT_THAT(values(argv_of(vm), "--pvh"), ElementsAre(HasSubstr("/vmlinux")));
    EXPECT_THAT(its().kernel_options(vm), Contains("PVH"));
}

TEST(Alioth, AnyTextCanBeSaid) {
    VmPlan vm = sample();
    vm.volumes.front().image = "/a,b=c,id_0 \"d\" 100% \\\n h\xc3\xa4t";
    EXPECT_THAT(values(argv_of(vm), "--blk"), ElementsAre("file,path=id_1,readonly=false"));
    EXPECT_THAT(values(argv_of(vm), "-o"), Contains("id_1," + vm.volumes.front().image));
    vm.volumes.front().image = std::string("/a\0b", 4);
    EXPECT_THROW(argv_of(vm), Error);
}

TEST(Alioth, ASharesServerWorksInTheGuestsMemory) {
    VmPlan vm = sample();
    SharePlan share = virtiofs_share("www");
    share.tag = "id_0";
    vm.shares = {share};
    EXPECT_THAT(values(argv_of(vm), "-m"), ElementsAre("size=256M,backend=memfd,shared=true"));
    EXPECT_THAT(values(argv_of(vm), "--fs"), ElementsAre("vu,socket=id_2,tag=id_3"));
    EXPECT_THAT(values(argv_of(vm), "-o"), Contains("id_3,id_0"));
}

} // namespace microvmc::test
