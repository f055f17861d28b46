#include "runtime/executor.h"

#include "runtime/lower.h"
#include "tests/runtime/recording_host.h"
#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace microvmc::test {

namespace {

using ::testing::HasSubstr;

// The directories that are there before anything of ours.
RecordingHost fresh_host() {
    RecordingHost host;
    host.model.directories = {"/var/lib/microvmc", "/run/microvmc"};
    return host;
}

std::vector<Action> hello_apply() {
    return lower(hello_plan(), one_change(ChangeKind::create), nothing_observed(), sample_facts());
}

// Logs of a machine that was started stay, since they say why it failed.
HostModel without_logs(HostModel model) {
    const VmPlan vm = hello_vm();
    for (const char* log : {"/console.log", "/vmm.log"}) { model.files.erase(vm.state_dir + log); }
    return model;
}

// With nothing in them, the directories that had to stay for the logs would go, too.
void remove_empty_directories(HostModel& model, const HostModel& initial) {
    for (bool removed = true; removed;) {
        removed = false;
        for (const std::string& directory : model.directories) {
            const auto inside = [&directory](const std::string& path) { return path.starts_with(directory + '/'); };
            const bool empty = std::ranges::none_of(model.directories, inside) &&
                               std::ranges::none_of(model.files, [&](const auto& file) { return inside(file.first); });
            if (empty && !initial.directories.contains(directory)) {
                model.directories.erase(directory);
                removed = true;
                break;
            }
        }
    }
}

std::string failure_of(RecordingHost& host, const std::vector<Action>& actions) {
    try {
        perform(actions, host, {});
    } catch (const Error& error) { return error.what(); }
    return {};
}

} // namespace

TEST(Executor, PerformsAllInOrderAndTellsOfEach) {
    RecordingHost host = fresh_host();
    std::vector<std::string> begun;
    std::vector<std::string> ended;
    Progress progress;
    progress.begin = [&](const Action& action) { begun.push_back(describe(action)); };
    progress.end = [&](const Action& action, const std::string& outcome) {
        ended.push_back(describe(action) + ": " + outcome);
    };
    const std::vector<Action> actions = hello_apply();
    perform(actions, host, progress);
    ASSERT_EQ(begun.size(), actions.size());
    EXPECT_EQ(ended.size(), actions.size());
    EXPECT_EQ(ended.back(), "wait until web is ready (150s at most): ready");
    const VmPlan vm = hello_vm();
    EXPECT_EQ(host.model.machines.at(vm.runtime_dir), "web");
    EXPECT_TRUE(host.model.files.contains(vm.volumes.front().image));
    EXPECT_TRUE(host.model.files.contains(vm.state_dir + "/plan.json"));
}

// Of hello's apply, each action fails once.
TEST(Executor, WhateverFailsEverythingDoneIsUndone) {
    const HostModel initial = fresh_host().model;
    const std::size_t last = hello_apply().size() - 1;
    for (std::size_t failing = 0; failing < last; ++failing) { // one call each; the last is the next test's
        RecordingHost host = fresh_host();
        host.fail_at = {failing};
        EXPECT_THAT(failure_of(host, hello_apply()), HasSubstr("told to fail")) << failing;
        EXPECT_EQ(host.model, initial) << "after failing " << host.calls.at(failing);
    }
}

// The same of a machine that joins a network by a tap: neither bridge nor tap is left.
TEST(Executor, WhateverFailsNetworksAreUndone) {
    const auto actions = [] {
        Plan plan = hello_plan();
        plan.networks.push_back(
            {.name = "lan", .subnets = {"10.9.0.0/24"}, .bridge = "mvbr0", .uplink = {}, .domain = "lan"});
        InterfacePlan& interface = plan.vms.front().interfaces.front();
        interface.type = "tap";
        interface.network = "lan";
        interface.bridge = "mvbr0";
        interface.id = "mv0";
        interface.addresses = {"10.9.0.5/24"};
        return lower(plan, one_change(ChangeKind::create), nothing_observed(), sample_facts());
    }();
    RecordingHost whole = fresh_host();
    perform(actions, whole, {});
    EXPECT_EQ(whole.model.taps, (std::map<std::string, std::string>{{"mv0", "mvbr0"}}));
    EXPECT_EQ(whole.model.bridges, std::set<std::string>{"mvbr0"});
    const HostModel initial = fresh_host().model;
    for (std::size_t failing = 0; failing < actions.size() - 1; ++failing) {
        RecordingHost host = fresh_host();
        host.fail_at = {failing};
        EXPECT_THAT(failure_of(host, actions), HasSubstr("told to fail")) << failing;
        EXPECT_EQ(host.model, initial) << "after failing " << host.calls.at(failing);
    }
}

// Once a machine ran, its new volume may hold data, and its logs say why it failed; all else is undone.
TEST(Executor, WhenItIsNotReadyOnlyDataAndLogsStay) {
    RecordingHost host = fresh_host();
    const HostModel initial = host.model;
    host.never_ready = true;
    EXPECT_THROW(perform(hello_apply(), host, {}), TimeoutError);
    EXPECT_TRUE(host.model.machines.empty());
    const std::string image = hello_vm().volumes.front().image;
    EXPECT_EQ(host.model.files.erase(image), 1U) << "the volume was deleted";
    HostModel rest = without_logs(host.model);
    remove_empty_directories(rest, initial);
    EXPECT_EQ(rest, initial);
}

TEST(Executor, TheErrorKeepsItsTypeItsHelpAndNamesWhatStays) {
    RecordingHost host = fresh_host();
    host.never_ready = true;
    try {
        perform(hello_apply(), host, {});
        FAIL() << "nothing was thrown";
    } catch (const TimeoutError& error) {
        EXPECT_EQ(error.help, "look at its console");
        EXPECT_THAT(error.what(), HasSubstr("not ready\n  not undone: the new volume "
                                            "/var/lib/microvmc/projects/hello/web/volumes/data.img stays: its machine "
                                            "ran, so it may hold data"));
    }
}

// Undoing goes on past what fails, in reverse, and says so.
TEST(Executor, AFailureInTheUndoIsReportedAndTheRestIsUndone) {
    const std::size_t failing = hello_apply().size() - 2; // the machine's start
    RecordingHost plain = fresh_host();
    plain.fail_at = {failing};
    failure_of(plain, hello_apply());
    for (std::size_t undo = failing + 1; undo < plain.calls.size(); ++undo) {
        RecordingHost host = fresh_host();
        host.fail_at = {failing, undo};
        const std::string message = failure_of(host, hello_apply());
        EXPECT_THAT(message, HasSubstr("not undone: ")) << undo;
        EXPECT_THAT(message, HasSubstr("told to fail: " + plain.calls[undo]));
        EXPECT_EQ(host.calls, plain.calls) << "the rest was not undone in the same order";
    }
}

TEST(Executor, ASecondApplyThatFailsLeavesTheFirstOnesThings) {
    RecordingHost host = fresh_host();
    perform(hello_apply(), host, {});
    const VmPlan old = hello_vm();
    host.stop_machine({old.name, old.runtime_dir, 0});
    host.calls.clear();
    const HostModel before = host.model;

    Plan plan = hello_plan();
    plan.vms.front().mem_mib = 512;
    Observed observed = running(old);
    observed.vms.front().running = false;
    const auto actions = lower(plan, one_change(ChangeKind::start), observed, sample_facts());
    host.never_ready = true;
    EXPECT_NE(failure_of(host, actions), "");
    HostModel after = host.model;
    // The runtime directory goes with the machine that was started in it; a stopped machine's has only its lock.
    after.directories.insert(old.runtime_dir);
    after.files[old.runtime_dir + "/lock"] = "";
    EXPECT_EQ(after, before);
}

TEST(Executor, AFailedRestartPutsTheOldRecordBackAndSaysThatTheMachineIsStopped) {
    RecordingHost host = fresh_host();
    perform(hello_apply(), host, {});
    const VmPlan old = hello_vm();
    const std::string record = host.model.files.at(old.state_dir + "/plan.json");

    Plan plan = hello_plan();
    plan.vms.front().vcpu = 2;
    const auto actions = lower(plan, one_change(ChangeKind::restart), running(old), sample_facts());
    host.never_ready = true;
    EXPECT_THAT(failure_of(host, actions), HasSubstr("not undone: web was stopped and stays so"));
    EXPECT_TRUE(host.model.machines.empty());
    EXPECT_EQ(host.model.files.at(old.state_dir + "/plan.json"), record);
    EXPECT_TRUE(host.model.files.contains(old.volumes.front().image)) << "a volume with data was deleted";
}

TEST(Executor, MemoryIsPutBackWhenWhatFollowsFails) {
    RecordingHost host = fresh_host();
    perform(hello_apply(), host, {});
    const VmPlan old = hello_vm();
    const Amendment before{{}, {{"before"}}};
    const Amendment after{{}, {{"after"}}};
    const std::vector<Action> actions{ResizeMemory{old.name, old.runtime_dir, old.mem_mib, 2 * old.mem_mib},
                                      AmendMachine{old.name, old.runtime_dir, before, after},
                                      WriteFile{.path = old.state_dir + "/plan.json", .content = "new"}};
    host.fail_at = {host.calls.size() + 2};
    EXPECT_NE(failure_of(host, actions), "");
    EXPECT_EQ(host.model.memory.at(old.runtime_dir), old.mem_mib);
    EXPECT_EQ(host.model.amended.at(old.runtime_dir), before);
    host.fail_at.clear();
    perform(actions, host, {});
    EXPECT_EQ(host.model.memory.at(old.runtime_dir), 2 * old.mem_mib);
    EXPECT_EQ(host.model.amended.at(old.runtime_dir), after);
}

TEST(Executor, DestroyRemovesAllButVolumes) {
    RecordingHost host = fresh_host();
    perform(hello_apply(), host, {});
    const VmPlan vm = hello_vm();
    const Observed observed = running(vm);
    perform(lower_destroy(observed.vms.front(), {vm.name, vm.state_dir, vm.runtime_dir}, false), host, {});
    EXPECT_TRUE(host.model.machines.empty());
    EXPECT_FALSE(host.model.directories.contains("/run/microvmc/hello"));
    EXPECT_TRUE(host.model.files.contains(vm.volumes.front().image));
    EXPECT_FALSE(host.model.files.contains(vm.state_dir + "/plan.json"));
    EXPECT_FALSE(host.model.files.contains(vm.state_dir + "/console.log"));
}

TEST(Executor, DestroyWithVolumesRemovesAllButProtectedOnes) {
    for (const bool protect : {false, true}) {
        RecordingHost host = fresh_host();
        perform(hello_apply(), host, {});
        VmPlan vm = hello_vm();
        vm.volumes.front().protect = protect;
        const Observed observed = running(vm);
        perform(lower_destroy(observed.vms.front(), {vm.name, vm.state_dir, vm.runtime_dir}, true), host, {});
        EXPECT_EQ(host.model.files.contains(vm.volumes.front().image), protect);
        EXPECT_EQ(host.model.directories.contains(vm.state_dir), protect);
    }
}

TEST(Executor, AFailedDestroyCanBeRepeated) {
    const VmPlan vm = hello_vm();
    const Observed observed = running(vm);
    const auto actions = lower_destroy(observed.vms.front(), {vm.name, vm.state_dir, vm.runtime_dir}, true);
    for (std::size_t failing = 0; failing < actions.size(); ++failing) {
        RecordingHost host = fresh_host();
        perform(hello_apply(), host, {});
        const std::size_t before = host.calls.size();
        // RemoveFile of what isn't there makes no call, so that fewer calls than actions are made.
        host.fail_at = {before + failing};
        const std::string message = failure_of(host, actions);
        EXPECT_EQ(message.empty(), host.calls.size() <= before + failing);
        if (!message.empty()) {
            EXPECT_TRUE(host.model.files.contains(vm.state_dir + "/plan.json")) << "its record is what finds it again";
        }
        host.fail_at.clear();
        perform(actions, host, {});
        EXPECT_FALSE(host.model.directories.contains(vm.state_dir));
    }
}

} // namespace microvmc::test
