#include "runtime/parallel.h"

#include "runtime/lower.h"
#include "tests/runtime/recording_host.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace microvmc::test {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using State = GroupResult::State;

// A machine like hello's, of its own name.
VmPlan machine(const std::string& name, std::vector<std::string> depends_on = {}) {
    VmPlan vm = hello_vm();
    vm.name = name;
    vm.hostname = name;
    vm.state_dir = "/var/lib/microvmc/projects/hello/" + name;
    vm.runtime_dir = "/run/microvmc/hello/" + name;
    vm.volumes.front().image = vm.state_dir + "/volumes/data.img";
    vm.interfaces.clear();
    vm.depends_on = std::move(depends_on);
    return vm;
}

// db, web that awaits it, and cache, which awaits nobody.
Plan shop() {
    Plan plan = hello_plan();
    plan.vms = {machine("web", {"db"}), machine("db"), machine("cache")};
    return plan;
}

Changes all(const Plan& plan, ChangeKind kind) {
    Changes changes;
    for (const VmPlan& vm : plan.vms) {
        changes.vms.push_back({});
        changes.vms.back().vm = vm.name;
        changes.vms.back().kind = kind;
    }
    return changes;
}

std::vector<ActionGroup> creating(const Plan& plan) {
    return lower_groups(plan, all(plan, ChangeKind::create), {}, sample_facts());
}

std::vector<std::string> names(const std::vector<ActionGroup>& groups) {
    std::vector<std::string> all;
    for (const ActionGroup& group : groups) { all.push_back(group.name); }
    return all;
}

const ActionGroup& group(const std::vector<ActionGroup>& groups, const std::string& name) {
    return *std::ranges::find(groups, name, &ActionGroup::name);
}

RecordingHost fresh_host() {
    RecordingHost host;
    host.model.directories = {"/var/lib/microvmc", "/run/microvmc"};
    return host;
}

std::vector<std::string> running(const RecordingHost& host) {
    std::vector<std::string> all;
    for (const auto& [directory, vm] : host.model.machines) { all.push_back(vm); }
    return all;
}

std::string failure(const std::vector<ActionGroup>& groups, const std::vector<GroupResult>& results) {
    try {
        throw_failures(groups, results);
    } catch (const Error& error) { return error.what(); }
    return {};
}

} // namespace

TEST(Groups, OfAMachineComeAfterThoseThatItDependsOn) {
    const auto groups = creating(shop());
    EXPECT_THAT(names(groups), ElementsAre("(shared)", "db", "cache", "web"));
    EXPECT_THAT(group(groups, "web").after, ElementsAre("db", "(shared)"));
    EXPECT_THAT(group(groups, "cache").after, ElementsAre("(shared)"));
    // What all three need is made once, and no machine's own thing is among it.
    std::size_t pins = 0;
    for (const ActionGroup& each : groups) {
        for (const Action& action : each.actions) { pins += std::holds_alternative<PinKernel>(action) ? 1 : 0; }
    }
    EXPECT_EQ(pins, 1U);
    for (const Action& action : group(groups, "(shared)").actions) {
        EXPECT_THAT(describe(action), Not(HasSubstr("/db")));
    }
}

TEST(Groups, AwaitWhatRunsAlready) {
    const Plan plan = shop();
    Changes changes;
    changes.vms.push_back({});
    changes.vms.back().vm = "web";
    changes.vms.back().kind = ChangeKind::create;
    const auto groups = lower_groups(plan, changes, running(plan.vms[1]), sample_facts());
    const auto* await = std::get_if<AwaitReady>(&group(groups, "web").actions.front());
    ASSERT_NE(await, nullptr);
    EXPECT_EQ(await->runtime_dir, "/run/microvmc/hello/db");
}

TEST(Groups, AreStoppedInTheOtherOrder) {
    Plan plan = shop();
    Observed observed;
    for (const VmPlan& vm : plan.vms) { observed.vms.push_back(running(vm).vms.front()); }
    const Changes changes = all(plan, ChangeKind::destroy);
    plan.vms.clear();
    const auto groups = lower_groups(plan, changes, observed, sample_facts());
    EXPECT_THAT(names(groups), ElementsAre("stop web", "stop db", "stop cache"));
    EXPECT_THAT(group(groups, "stop db").after, ElementsAre("stop web"));
}

TEST(Groups, ThatRestartDoSoOneByOne) {
    const Plan plan = shop();
    Observed observed;
    for (const VmPlan& vm : plan.vms) { observed.vms.push_back(running(vm).vms.front()); }
    const auto groups = lower_groups(plan, all(plan, ChangeKind::restart), observed, sample_facts());
    EXPECT_THAT(group(groups, "cache").after, ::testing::Contains("db"));
}

TEST(Groups, WithoutWaitingAreAwaitedOnlyByDependants) {
    auto groups = creating(shop());
    forget_readiness(groups);
    const auto awaits = [&](const std::string& name) {
        return std::ranges::any_of(group(groups, name).actions,
                                   [](const Action& action) { return std::holds_alternative<AwaitReady>(action); });
    };
    EXPECT_TRUE(awaits("db"));
    EXPECT_FALSE(awaits("web"));
    EXPECT_FALSE(awaits("cache"));
}

TEST(Parallel, DoesAll) {
    RecordingHost host = fresh_host();
    const auto groups = creating(shop());
    std::vector<std::string> ended;
    GroupProgress progress;
    progress.end = [&ended](const ActionGroup& each, const GroupResult& result) {
        ended.push_back(each.name + (result.state == State::done ? "" : "!"));
    };
    const auto results = perform_groups(groups, host, 1, progress);
    EXPECT_EQ(failure(groups, results), "");
    EXPECT_THAT(running(host), ElementsAre("cache", "db", "web"));
    EXPECT_THAT(ended, ElementsAre("(shared)", "db", "cache", "web"));
}

// Each call of an apply of three fails once: what failed is undone, who awaits it isn't begun, all others run.
TEST(Parallel, WhateverFailsTheOthersGoOnAndNothingHalfDoneStays) {
    const auto groups = creating(shop());
    RecordingHost whole = fresh_host();
    perform_groups(groups, whole, 1, {});
    const HostModel initial = fresh_host().model;
    for (std::size_t failing = 0; failing < whole.calls.size(); ++failing) {
        RecordingHost host = fresh_host();
        host.fail_at = {failing};
        const auto results = perform_groups(groups, host, 1, {});
        const std::string said = failure(groups, results);
        EXPECT_THAT(said, HasSubstr("told to fail: " + whole.calls[failing]));
        const State shared = results[0].state;
        if (shared == State::failed) {
            EXPECT_EQ(host.model, initial) << "after failing " << whole.calls[failing];
            EXPECT_THAT(said, HasSubstr("not begun: db (it awaits (shared)), cache (it awaits (shared)), web"));
            continue;
        }
        for (std::size_t i = 1; i < groups.size(); ++i) {
            const std::string& name = groups[i].vm;
            const std::string record = "/var/lib/microvmc/projects/hello/" + name + "/plan.json";
            const bool runs = std::ranges::count(running(host), name) != 0;
            EXPECT_EQ(runs, results[i].state == State::done) << name << " after failing " << whole.calls[failing];
            EXPECT_EQ(host.model.files.contains(record), runs) << name << " after failing " << whole.calls[failing];
        }
        if (results[1].state == State::failed) { EXPECT_EQ(results[3].state, State::skipped) << "web awaits db"; }
        EXPECT_EQ(std::ranges::count(results, State::failed, &GroupResult::state), 1);
        EXPECT_THAT(said, HasSubstr("done all the same: "));
    }
}

// What was made for all of them goes when none of them came to anything.
TEST(Parallel, WhatIsSharedIsUndoneWhenItWasInVain) {
    Plan plan = shop();
    plan.vms = {machine("db"), machine("web", {"db"})};
    const auto groups = creating(plan);
    RecordingHost whole = fresh_host();
    perform_groups(groups, whole, 1, {});
    const auto first = std::ranges::find_if(whole.calls, [](const std::string& call) {
        return call == "write_file /var/lib/microvmc/projects/hello/db/plan.json";
    });
    RecordingHost host = fresh_host();
    host.fail_at = {static_cast<std::size_t>(first - whole.calls.begin())};
    const auto results = perform_groups(groups, host, 1, {});
    EXPECT_EQ(results[1].state, State::failed);
    EXPECT_EQ(results[2].state, State::skipped);
    EXPECT_EQ(host.model, fresh_host().model);
}

TEST(Parallel, TheFirstFailuresTypeAndHelpAreKept) {
    RecordingHost host = fresh_host();
    host.never_ready = true;
    const auto groups = creating(shop());
    const auto results = perform_groups(groups, host, 1, {});
    try {
        throw_failures(groups, results);
        FAIL() << "nothing was thrown";
    } catch (const TimeoutError& error) { EXPECT_EQ(error.help, "look at its console"); }
}

namespace {

/// One whose machines are awaited until so many are at once.
class MeetingHost final : public Host {
public:
    explicit MeetingHost(std::size_t wanted) : wanted_(wanted) {}
    bool exists(const std::string& /*path*/) override { return false; }
    bool make_directory(const std::string& /*path*/, std::uint32_t /*mode*/) override { return true; }
    std::optional<std::string> read_file(const std::string& /*path*/) override { return std::nullopt; }
    void write_file(const std::string& /*path*/, const std::string& /*content*/, std::uint32_t /*mode*/) override {}
    void remove_file(const std::string& /*path*/) override {}
    void remove_tree(const std::string& /*path*/) override {}
    bool remove_directory(const std::string& /*path*/) override { return true; }
    bool pin_kernel(const KernelPlan& /*kernel*/) override { return true; }
    bool build_initramfs(const BuildInitramfs& /*request*/) override { return true; }
    bool create_volume(const CreateVolume& /*request*/) override { return true; }
    void grow_volume(const GrowVolume& /*request*/) override {}
    void grow_running_volume(const GrowRunningVolume& /*request*/) override {}
    void read_credentials(const ReadCredentials& /*request*/) override {}
    bool build_root(const BuildRoot& /*request*/, const RootProgress& /*progress*/) override { return true; }
    void build_cloud_init(const BuildCloudInit& /*request*/) override {}
    void build_share_image(const BuildShareImage& /*request*/) override {}
    void copy_file(const std::string& /*from*/, const std::string& /*to*/) override {}
    void swap_files(const std::string& /*path*/, const std::string& /*other*/) override {}
    bool ensure_network(const NetworkUp& /*up*/) override { return true; }
    bool release_network(const ReleaseNetwork& /*request*/) override { return true; }
    void make_tap(const MakeTap& /*request*/) override {}
    void remove_tap(const MakeTap& /*request*/) override {}
    void start_machine(const StartMachine& /*request*/) override {}
    void resize_memory(const std::string& /*runtime_dir*/, std::uint64_t /*mib*/) override {}
    void amend_machine(const std::string& /*runtime_dir*/, const Amendment& /*amendment*/) override {}
    void await_ready(const AwaitReady& request) override {
        std::unique_lock lock(mutex_);
        order.push_back(request.vm);
        most = std::max(most, ++here_);
        met_.notify_all();
        const bool met = met_.wait_for(lock, std::chrono::seconds(20), [this] { return most >= wanted_; });
        --here_;
        if (!met) { throw Error("they didn't meet"); }
    }
    StopOutcome stop_machine(const StopMachine& /*request*/) override { return {}; }

    std::size_t most = 0; ///< at once
    std::vector<std::string> order;

private:
    std::size_t wanted_;
    std::size_t here_ = 0;
    std::mutex mutex_;
    std::condition_variable met_;
};

} // namespace

TEST(Parallel, IndependentMachinesAreWorkedOnAtOnce) {
    MeetingHost host(2); // db and cache; web only after db
    const auto groups = creating(shop());
    EXPECT_EQ(failure(groups, perform_groups(groups, host, 4, {})), "");
    EXPECT_EQ(host.order.back(), "web");
}

TEST(Parallel, NotMoreThanAsked) {
    Plan plan = shop();
    plan.vms = {machine("a"), machine("b"), machine("c"), machine("d"), machine("e")};
    MeetingHost host(2);
    const auto groups = creating(plan);
    EXPECT_EQ(failure(groups, perform_groups(groups, host, 2, {})), "");
    EXPECT_EQ(host.most, 2U);
}

} // namespace microvmc::test
