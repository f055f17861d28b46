#include "testkit/exclusion.h"
#include "testkit/needs.h"
#include "testkit/select.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

// Which cases on which targets are wanted.

namespace microvmc::testkit {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace {

class Select : public ::testing::Test {
protected:
    Select() {
        for (const char* accel : {"kvm", "tcg"}) {
            Target& target = targets_.emplace_back();
            target.hypervisor = "qemu";
            target.accel = accel;
        }
    }
    Case& add(const std::string& spec, const std::string& name = {}) {
        Case& made = specs_.cases.emplace_back();
        made.spec = spec;
        made.name = name;
        return made;
    }
    [[nodiscard]] std::vector<std::string> names(const Selection& selection) const {
        std::vector<std::string> found;
        for (const Combination& each : select(specs_, targets_, selection)) {
            found.push_back(specs_.cases[each.which_case].id() + "@" + targets_[each.target].name());
        }
        return found;
    }

    Specs specs_;
    std::vector<Target> targets_;
};

} // namespace

TEST(Filter, WithoutWildcardsIsFoundAnywhere) {
    EXPECT_TRUE(fits("volumes", "volumes[fs=ext4]@qemu:tcg"));
    EXPECT_TRUE(fits("ext4]@qemu", "volumes[fs=ext4]@qemu:tcg"));
    EXPECT_TRUE(fits("", "x"));
    EXPECT_FALSE(fits("ext3", "volumes[fs=ext4]@qemu:tcg"));
}

TEST(Filter, WithWildcardsIsTheWhole) {
    const char* const name = "volumes[fs=ext4,format=raw]@qemu:tcg";
    EXPECT_TRUE(fits("volumes*", name));
    EXPECT_TRUE(fits("*format=r?w]@*", name)) << "brackets are themselves";
    EXPECT_TRUE(fits("*", ""));
    EXPECT_TRUE(fits("*a*a*", "aa"));
    EXPECT_TRUE(fits("a*c", "abcbc")) << "the last that does is found";
    EXPECT_FALSE(fits("volumes?", name));
    EXPECT_FALSE(fits("*ext", name));
    EXPECT_FALSE(fits("?", ""));
    EXPECT_FALSE(fits("*a*b*c*d*e*f*g*h*x", std::string(100'000, 'a'))) << "in no more steps than there are characters";
}

TEST_F(Select, EachCaseOnEachTargetInTheOrderOfTheCases) {
    add("a");
    add("b", "x=1");
    EXPECT_THAT(names({}), ElementsAre("a@qemu:kvm", "a@qemu:tcg", "b[x=1]@qemu:kvm", "b[x=1]@qemu:tcg"));
    EXPECT_THAT(names({.filters = {"b*", "a@qemu:kvm"}}),
                ElementsAre("a@qemu:kvm", "b[x=1]@qemu:kvm", "b[x=1]@qemu:tcg"));
    EXPECT_THAT(names({.filters = {"nothing"}}), IsEmpty());
}

TEST_F(Select, WhatIsExcludedIsLeftOut) {
    add("a").not_on = {{.hypervisor = {}, .accel = "kvm", .interpreted = {}}};
    add("b").not_on = {{.hypervisor = "other", .accel = "tcg", .interpreted = {}}};
    add("c").not_on = {{.hypervisor = {}, .accel = {}, .interpreted = true}};
    targets_[0].interpreted = true;
    EXPECT_THAT(names({}), ElementsAre("a@qemu:tcg", "b@qemu:kvm", "b@qemu:tcg", "c@qemu:tcg"));
    EXPECT_TRUE(is_excluded(specs_.cases[2], targets_[0]));
    EXPECT_FALSE(is_excluded(specs_.cases[1], targets_[1])) << "all that an entry says must hold";
}

TEST_F(Select, ShardsAreEverythingEachOnceAndAboutAsLarge) {
    for (int i = 0; i < 7; ++i) { add("case-" + std::to_string(i)); }
    std::multiset<std::string> all;
    for (std::size_t shard = 1; shard <= 4; ++shard) {
        const std::vector<std::string> part = names({.filters = {}, .shard = shard, .shards = 4});
        EXPECT_GE(part.size(), 3U);
        EXPECT_LE(part.size(), 4U);
        all.insert(part.begin(), part.end());
    }
    EXPECT_EQ(all.size(), 14U);
    EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 14U);
    EXPECT_THAT(names({.filters = {}, .shard = 3, .shards = 100}), IsEmpty());
}

TEST_F(Select, WhatStepsAskForIsNeeded) {
    Case& which = add("a");
    for (const VmStep::Verb verb : {VmStep::Verb::stop, VmStep::Verb::restart, VmStep::Verb::balloon}) {
        which.steps.emplace_back().what = VmStep{verb, {}};
    }
    auto changed = std::make_shared<Config>();
    changed->vms.resize(1);
    changed->vms[0].needs = {{"memory.hotplug", {}}};
    which.steps.emplace_back().what = ApplyStep{changed};
    which.config.vms.resize(1);
    which.config.vms[0].needs = {{"volume.raw", {}}, {"balloon", {}}};
    const auto capabilities = [](const std::vector<Need>& needs) {
        std::vector<std::string_view> found;
        for (const Need& need : needs) { found.push_back(need.capability); }
        return found;
    };
    EXPECT_THAT(capabilities(step_needs(which)), ElementsAre("shutdown", "balloon", "memory.hotplug"));
    EXPECT_THAT(capabilities(needs(which)), ElementsAre("volume.raw", "balloon", "shutdown", "memory.hotplug"));
}

} // namespace microvmc::testkit
