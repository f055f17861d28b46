#include "testkit/coverage.h"
#include "testkit/outcome.h"

#include <gmock/gmock.h>

#include <algorithm>

// Which claims of the hypervisors' traits are proven.

namespace microvmc::testkit {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace {

const std::vector<Target> targets = [] {
    Target tcg;
    tcg.hypervisor = "qemu";
    tcg.accel = "tcg";
    return std::vector<Target>{tcg};
}();

CaseResult proving(const std::string& spec, const std::string& capability, Outcome outcome) {
    CaseResult result;
    result.spec = spec;
    result.target = "qemu:tcg";
    result.outcome = outcome;
    result.proves = {capability};
    return result;
}

CoverageCell cell(const std::vector<CoverageCell>& cells, const std::string& capability) {
    const auto found = std::ranges::find(cells, capability, &CoverageCell::capability);
    return found == cells.end() ? CoverageCell{} : *found;
}

} // namespace

TEST(Coverage, OnlyWhatPassedProves) {
    const auto cells =
        coverage_of(targets,
                    {proving("good", "volume.raw", Outcome::passed), proving("good", "volume.raw", Outcome::passed),
                     proving("bad", "share.9p", Outcome::wrong)},
                    {});
    EXPECT_THAT(cell(cells, "volume.raw").cases, ElementsAre("good")) << "each case once";
    EXPECT_EQ(cell(cells, "volume.raw").support, "native");
    EXPECT_THAT(cell(cells, "share.9p").cases, IsEmpty());
    EXPECT_EQ(cell(cells, "share.dax").capability, "") << "what isn't claimed needs no proof";
}

TEST(Coverage, AHypervisorThatTookNoPartHasNoCells) {
    EXPECT_THAT(coverage_of({}, {}, {}), IsEmpty());
}

TEST(Coverage, AHostIsExcused) {
    HostFacts facts;
    EXPECT_NE(cell(coverage_of(targets, {}, facts), "accel.kvm").excuse, "");
    EXPECT_EQ(cell(coverage_of(targets, {}, facts), "accel.tcg").excuse, "");
    facts.kvm.state = KvmState::works;
    EXPECT_EQ(cell(coverage_of(targets, {}, facts), "accel.kvm").excuse, "");
}

TEST(Coverage, AKernelThatWasNamedIsExcused) {
    std::vector<Target> booting = targets;
    const auto excuse = [&booting](const HostFacts& facts, const std::string& capability) {
        return cell(coverage_of(booting, {}, facts), capability).excuse;
    };
    HostFacts facts;
    EXPECT_EQ(excuse(facts, "kernel.elf"), "");
    booting.front().kernel = "/vmlinux";
    KernelFacts& elf = facts.named_kernels["/vmlinux"];
    elf.image = KernelImage::elf;
    EXPECT_EQ(excuse(facts, "kernel.elf"), "");
    EXPECT_EQ(excuse(facts, "kernel.bzimage"), "the kernel that was named is no bzImage");
    EXPECT_EQ(excuse(facts, "volume.btrfs"), "") << "nobody knows what it was built with";
    elf.options = {{"XFS_FS", true}};
    EXPECT_EQ(excuse(facts, "volume.btrfs"), "the kernel that was named lacks CONFIG_BTRFS_FS");
    EXPECT_EQ(excuse(facts, "volume.xfs"), "");
    facts.named_kernels["/bzImage"].image = KernelImage::bzimage;
    EXPECT_EQ(excuse(facts, "kernel.bzimage"), "the kernel that was named is no bzImage") << "another boots it";
    booting.push_back(booting.front());
    booting.back().kernel = "/bzImage";
    EXPECT_EQ(excuse(facts, "kernel.bzimage"), "") << "one of them can";
    EXPECT_EQ(excuse(facts, "volume.btrfs"), "");
}

TEST(Coverage, AHypervisorThatIsNotThereIsExcused) {
    std::vector<Target> here = targets;
    here[0].unusable = "QEMU is not installed";
    EXPECT_EQ(cell(coverage_of(here, {}, {}), "volume.raw").excuse, "QEMU is not installed");
    here.push_back(targets[0]); // one of its columns is enough
    EXPECT_EQ(cell(coverage_of(here, {}, {}), "volume.raw").excuse, "");
}

TEST(Coverage, WhatIsTheSameEverywhereIsLeftToOthersWhereGuestsAreInterpreted) {
    std::vector<Target> both = targets;
    Target kvm;
    kvm.hypervisor = "crosvm";
    kvm.accel = "kvm";
    both.push_back(kvm);
    const std::vector<CaseResult> results{proving("keeps", "hooks", Outcome::passed)};
    const auto excuse_of = [&](const std::string& capability) {
        const auto cells = coverage_of(both, results, {});
        const auto found = std::ranges::find_if(cells, [&](const CoverageCell& each) {
            return each.capability == capability && each.hypervisor == "crosvm";
        });
        return found == cells.end() ? "no such cell" : found->excuse;
    };
    EXPECT_EQ(excuse_of("hooks"), "");
    both[1].interpreted = true;
    EXPECT_EQ(excuse_of("hooks"), "it is the same everywhere, qemu has proven it, and guests are interpreted here");
    EXPECT_EQ(excuse_of("depends-on"), "it is the same everywhere, and guests are interpreted here");
    EXPECT_EQ(excuse_of("volume.raw"), "") << "its disks are its own";
    EXPECT_EQ(excuse_of("interface.rate"), "guests are interpreted here, and reach no rate that could be limited");
    EXPECT_EQ(excuse_of("share.virtiofs"), "no virtiofsd is installed on this host") << "its device is its own";
}

TEST(Proven, AcceleratorsAndFormsOfKernelsCountWhereTheyWere) {
    Plan plan;
    plan.vms.resize(1);
    plan.vms[0].kernel.image = KernelImage::elf;
    EXPECT_THAT(proven({"accel.kvm", "accel.tcg", "kernel.elf", "kernel.bzimage", "volume.raw"}, targets[0], plan),
                ElementsAre("accel.tcg", "kernel.elf", "volume.raw"));
}

} // namespace microvmc::testkit
