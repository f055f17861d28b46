#include "testkit/capacity.h"
#include "testkit/groups.h"

#include <gmock/gmock.h>

#include <deque>

// Which cases share a boot, and which groups run beside each other.

namespace microvmc::testkit {

using ::testing::ElementsAre;

namespace {

class Groups : public ::testing::Test {
protected:
    /// One more to group; `machine` tells plans apart.
    void add(const std::string& machine, std::vector<Step> steps = {}, bool isolated = false) {
        Case& which = cases_.emplace_back();
        which.isolated = isolated;
        which.steps = std::move(steps);
        which.config.vms.resize(1);
        which.config.vms[0].enabled.value = true;
        which.config.vms[0].mem.value = 256;
        Plan& plan = plans_.emplace_back();
        plan.vms.resize(1);
        plan.vms[0].name = "a";
        plan.vms[0].machine = machine;
        all_.push_back({{.which_case = cases_.size() - 1, .slot = cases_.size() - 1}, &which, &plan});
    }
    static std::vector<std::size_t> numbers(const Group& group) {
        std::vector<std::size_t> found;
        for (const auto& run : group.runs) { found.push_back(run.which_case); }
        return found;
    }
    static Step step(VmStep::Verb verb) {
        Step made;
        made.what = VmStep{verb, {}};
        return made;
    }

    std::deque<Case> cases_;
    std::deque<Plan> plans_;
    std::vector<Groupable> all_;
};

} // namespace

TEST_F(Groups, SamePlansShareABoot) {
    add("x");
    add("y");
    add("x");
    const auto groups = make_groups(all_);
    ASSERT_EQ(groups.size(), 2U);
    EXPECT_THAT(numbers(groups[0]), ElementsAre(0, 2)) << "the longer one first";
    EXPECT_THAT(numbers(groups[1]), ElementsAre(1));
    EXPECT_EQ(groups[0].mem_mib, 256U);
}

TEST_F(Groups, OtherTargetsAndRoundsDont) {
    add("x");
    add("x");
    add("x");
    all_[1].run.target = 1;
    all_[2].run.round = 2;
    EXPECT_EQ(make_groups(all_).size(), 3U);
}

TEST_F(Groups, WhatChangesItsMachineComesLastAndOnlyOnceInAGroup) {
    add("x", {step(VmStep::Verb::stop)});
    add("x");
    add("x", {step(VmStep::Verb::kill)});
    add("x");
    const auto groups = make_groups(all_);
    ASSERT_EQ(groups.size(), 2U);
    EXPECT_THAT(numbers(groups[0]), ElementsAre(1, 3, 0));
    EXPECT_THAT(numbers(groups[1]), ElementsAre(2));
}

TEST_F(Groups, IsolatedOnesShareOnlyASnapshot) {
    add("x", {}, true);
    add("x", {step(VmStep::Verb::stop)}, true);
    add("x");
    EXPECT_EQ(make_groups(all_).size(), 3U);
    for (Groupable& each : all_) { each.snapshot = true; }
    const auto groups = make_groups(all_);
    ASSERT_EQ(groups.size(), 2U);
    EXPECT_TRUE(groups[0].isolated);
    EXPECT_EQ(groups[0].runs.size(), 2U);
}

TEST_F(Groups, WhatReadsVolumesIsKnownAndBegunEarly) {
    Step read;
    read.what = VolumeStep{};
    add("x", {step(VmStep::Verb::pause), step(VmStep::Verb::resume), step(VmStep::Verb::pause)});
    add("y", {step(VmStep::Verb::stop), read});
    const auto groups = make_groups(all_);
    ASSERT_EQ(groups.size(), 2U);
    EXPECT_THAT(numbers(groups[0]), ElementsAre(1));
    EXPECT_TRUE(groups[0].reads_volumes);
    EXPECT_FALSE(groups[1].reads_volumes);
}

TEST(Snapshots, AreSharedByMachinesWhoseGuestsHaveNothingOfTheHost) {
    Plan plan;
    VmPlan& vm = plan.vms.emplace_back();
    vm.hypervisor = "qemu";
    vm.interfaces.emplace_back().type = "user";
    EXPECT_TRUE(shares_snapshots(plan));
    vm.interfaces.front().type = "tap";
    EXPECT_FALSE(shares_snapshots(plan));
    vm.interfaces.clear();
    vm.shares.emplace_back();
    EXPECT_FALSE(shares_snapshots(plan));
    vm.shares.clear();
    vm.vsock_cid = 5;
    EXPECT_FALSE(shares_snapshots(plan));
    vm.vsock_cid = 0;
    plan.vms.emplace_back().hypervisor = "qemu";
    EXPECT_FALSE(shares_snapshots(plan));
}

TEST_F(Groups, APortOfTheHostIsHadOnce) {
    add("x");
    ForwardConfig& forward = cases_[0].config.vms[0].forward_ports.emplace_back();
    forward.from.value = "host";
    forward.proto.value = "tcp";
    forward.host.emplace();
    forward.host->port = Located<std::int64_t>{.value = 8080, .span = {}};
    EXPECT_THAT(make_groups(all_).at(0).exclusive, ElementsAre("port 8080/tcp"));
}

namespace {

Group group(std::uint64_t mem_mib, std::set<std::string> exclusive = {}) {
    Group made;
    made.mem_mib = mem_mib;
    made.exclusive = std::move(exclusive);
    return made;
}

} // namespace

TEST(NextGroup, IsTheFirstThatFits) {
    const Group running = group(500, {"port 1/tcp"});
    std::vector<Group> pending{group(1000), group(100, {"port 1/tcp"}), group(100)};
    EXPECT_EQ(next_group(pending, {}, {}, {2, 900}), 0U) << "alone it gets what there is";
    EXPECT_EQ(next_group(pending, {&running}, {}, {2, 2000}), 0U);
    EXPECT_EQ(next_group(pending, {&running}, {}, {2, 900}), 2U) << "the first is too large, the second wants the port";
    EXPECT_EQ(next_group(pending, {&running}, {}, {1, 9000}), std::nullopt);
    EXPECT_EQ(next_group(pending, {&running}, {}, {2, 600}), std::nullopt);
    EXPECT_EQ(next_group({}, {}, {}, {2, 900}), std::nullopt);
    pending.erase(pending.begin());
    EXPECT_EQ(next_group(pending, {}, {&running}, {2, 900}), 1U) << "one that has stopped still has the port";
}

TEST(HostCapacity, IsWhatIsSaidElseByTheCores) {
    EXPECT_EQ(host_capacity(7).jobs, 7U);
    EXPECT_GE(host_capacity(0).jobs, 1U);
    EXPECT_GT(host_capacity(0).mem_mib, 0U);
}

} // namespace microvmc::testkit
