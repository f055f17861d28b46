#include "testkit/targets.h"

#include "runtime/backend.h"
#include "runtime/error.h"

#include <gmock/gmock.h>

// Where cases run.

namespace microvmc::testkit {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

HostFacts host(KvmState kvm) {
    HostFacts facts;
    facts.arch = "x86_64";
    facts.kvm = {.state = kvm, .reason = kvm == KvmState::works ? "" : "popcnt can't run in a guest"};
    facts.tools["qemu-system-x86_64"] = {.path = "/usr/bin/qemu-system-x86_64", .version = "7.2", .identity = {}};
    return facts;
}

std::vector<std::string> names(const TargetRequest& request, const HostFacts& facts) {
    std::vector<std::string> found;
    for (const Target& target : find_targets(request, facts)) {
        found.push_back(target.name() + (target.unusable.empty() ? "" : "!"));
    }
    return found;
}

TargetRequest asking(std::vector<std::string> hypervisors, std::vector<std::string> kernels = {}) {
    std::vector<NamedKernel> named;
    for (const std::string& text : kernels) { named.push_back(named_kernel(text)); }
    return {.hypervisors = std::move(hypervisors), .all = false, .kernels = std::move(named)};
}

} // namespace

TEST(Targets, WithoutANameTheFirstThatWorks) {
    EXPECT_THAT(names({}, host(KvmState::works)), ElementsAre("qemu:kvm"));
    EXPECT_THAT(names({}, host(KvmState::incomplete)), ElementsAre("qemu:tcg"));
}

TEST(Targets, ANameIsItsBestAcceleratorThatWorks) {
    EXPECT_THAT(names(asking({"qemu"}), host(KvmState::works)), ElementsAre("qemu:kvm"));
    EXPECT_THAT(names(asking({"qemu"}), host(KvmState::missing)), ElementsAre("qemu:tcg"));
    EXPECT_THAT(names(asking({"qemu:tcg", "qemu:tcg"}), host(KvmState::works)), ElementsAre("qemu:tcg"));
    EXPECT_THAT(names(asking({"qemu:kvm"}), host(KvmState::missing)), ElementsAre("qemu:kvm!"));
}

TEST(Targets, AllAreEachWithEachAccelerator) {
    const StandInBackends qemu_alone({&backend("qemu")});
    const TargetRequest all{.hypervisors = {}, .all = true, .kernels = {}};
    EXPECT_THAT(names(all, host(KvmState::works)), ElementsAre("qemu:kvm", "qemu:tcg"));
    const std::vector<Target> targets = find_targets(all, host(KvmState::incomplete));
    EXPECT_THAT(targets.at(0).unusable, HasSubstr("popcnt"));
    EXPECT_EQ(targets.at(1).unusable, "");
}

TEST(Targets, WhatIsNotInstalledSaysSo) {
    const StandInBackends qemu_alone({&backend("qemu")});
    HostFacts facts = host(KvmState::works);
    facts.tools.clear();
    const std::vector<Target> targets = find_targets(asking({"qemu:tcg"}), facts);
    EXPECT_THAT(targets.at(0).unusable, HasSubstr("apt install"));
    EXPECT_THAT(names({}, facts), ElementsAre("qemu:kvm!", "qemu:tcg!")) << "when nothing works all of them say why";
}

TEST(Targets, KernelsMultiply) {
    EXPECT_THAT(names(asking({"qemu:tcg"}, {"/k/one", "/k/two"}), host(KvmState::works)),
                ElementsAre("qemu:tcg one", "qemu:tcg two"));
}

TEST(Targets, AKernelMayBeOfOneHypervisorAlone) {
    EXPECT_THAT(names(asking({"qemu:tcg"}, {"/k/one", "alioth=/k/two"}), host(KvmState::works)),
                ElementsAre("qemu:tcg one"));
    EXPECT_THAT(names(asking({"qemu:tcg"}, {"/k/one", "qemu=/k/two"}), host(KvmState::works)),
                ElementsAre("qemu:tcg two"));
    EXPECT_EQ(named_kernel("/k/a=b").path, "/k/a=b");
}

TEST(Targets, AKvmThatInterpretsRunsOnlyAKernelThatIsNamed) {
    EXPECT_THAT(names(asking({"qemu:kvm"}), host(KvmState::incomplete)), ElementsAre("qemu:kvm!"));
    const std::vector<Target> targets = find_targets(asking({"qemu:kvm"}, {"/k/one"}), host(KvmState::incomplete));
    EXPECT_EQ(targets.at(0).unusable, "");
    EXPECT_TRUE(targets.at(0).interpreted);
    EXPECT_THAT(names(asking({"qemu"}, {"/k/one"}), host(KvmState::incomplete)), ElementsAre("qemu:tcg one"));
}

TEST(Targets, AnUnknownNameIsAnErrorWithASuggestion) {
    try {
        find_targets(asking({"qemu:tgc"}), host(KvmState::works));
        FAIL();
    } catch (const Error& error) { EXPECT_EQ(error.help, "did you mean qemu:tcg?"); }
}

} // namespace microvmc::testkit
