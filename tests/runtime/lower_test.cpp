#include "runtime/lower.h"

#include "tests/runtime/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fmt/format.h>
#include <regex>

namespace microvmc::test {

namespace {

std::string text_of(const std::vector<Action>& actions) {
    nlohmann::json all = nlohmann::json::array();
    for (const Action& action : actions) {
        nlohmann::json value = to_json_value(action);
        // Whole plans are checked by ThePlanIsRecordedAndGivenToTheSupervisor.
        if (value["action"] == "write-file") { value["content"] = "the plan"; }
        if (value["action"] == "start-machine") { value["launch"]["plan"] = "the plan"; }
        all.push_back(std::move(value));
    }
    // The initramfs' name is a digest that tests/host covers.
    return std::regex_replace(all.dump(2) + '\n', std::regex("[0-9a-f]{64}"), "KEY");
}

std::vector<std::string> lines_of(const std::vector<Action>& actions) {
    std::vector<std::string> lines;
    for (const Action& action : actions) { lines.push_back(describe(action)); }
    return lines;
}

std::vector<Action> lowered(ChangeKind kind, const Plan& plan, const Observed& observed) {
    return lower(plan, one_change(kind), observed, sample_facts());
}

template <typename T> std::vector<T> of_kind(const std::vector<Action>& actions) {
    std::vector<T> found;
    for (const Action& action : actions) {
        if (const T* one = std::get_if<T>(&action)) { found.push_back(*one); }
    }
    return found;
}

} // namespace

TEST(Lower, Create) {
    expect_golden("create.json", text_of(lowered(ChangeKind::create, hello_plan(), {})));
}

TEST(Lower, ThePlanIsRecordedAndGivenToTheSupervisor) {
    const auto actions = lowered(ChangeKind::create, hello_plan(), {});
    EXPECT_EQ(nlohmann::json::parse(of_kind<WriteFile>(actions).front().content), nlohmann::json(hello_vm()));
    EXPECT_EQ(of_kind<StartMachine>(actions).front().launch.plan, nlohmann::json(hello_vm()));
}

TEST(Lower, RestartWithAGrownVolume) {
    Plan plan = hello_plan();
    plan.vms.front().volumes.front().size_mib = 96;
    plan.vms.front().vcpu = 2;
    expect_golden("restart.json", text_of(lowered(ChangeKind::restart, plan, running(hello_vm()))));
}

TEST(Lower, OnQ35) {
    Plan plan = hello_plan();
    plan.vms.front().machine = "q35";
    plan.vms.front().root.kind = RootPlan::Kind::share;
    plan.vms.front().root.source = "/";
    plan.vms.front().root.tag = "root";
    plan.vms.front().command.clear();
    expect_golden("create-q35.json", text_of(lowered(ChangeKind::create, plan, {})));
}

TEST(Lower, NothingChangedIsNothingToDo) {
    EXPECT_TRUE(lowered(ChangeKind::none, hello_plan(), running(hello_vm())).empty());
}

TEST(Lower, InPlaceAndUpdateWriteTheRecordAlone) {
    for (const ChangeKind kind : {ChangeKind::in_place, ChangeKind::update}) {
        const auto actions = lowered(kind, hello_plan(), running(hello_vm()));
        const auto records = of_kind<WriteFile>(actions);
        ASSERT_EQ(records.size(), 1U);
        EXPECT_EQ(nlohmann::json::parse(records.front().content), nlohmann::json(hello_vm()));
        EXPECT_EQ(actions.size(), records.size() + of_kind<MakeDirectory>(actions).size());
    }
}

TEST(Lower, MemoryChangesInPlaceAndAtTheNextBoot) {
    Plan plan = hello_plan();
    VmPlan& vm = plan.vms.front();
    vm.machine = "q35";
    vm.mem_boot_mib = vm.mem_mib;
    vm.mem_max_mib = 4 * vm.mem_mib;
    const VmPlan before = vm;
    vm.mem_mib *= 2;
    vm.ready.port = 81; // what the record alone has
    const auto actions = lowered(ChangeKind::in_place, plan, running(before));
    const auto resized = of_kind<ResizeMemory>(actions);
    ASSERT_EQ(resized.size(), 1U);
    EXPECT_EQ(resized.front().mib, vm.mem_mib);
    EXPECT_EQ(resized.front().before_mib, before.mem_mib);
    const auto requested = [](const std::vector<Child>& children) {
        const auto& argv = children.back().argv;
        const auto found = std::ranges::find_if(argv, [](const auto& word) { return word.starts_with("virtio-mem"); });
        return found == argv.end() ? std::string() : found->substr(found->rfind("requested-size="));
    };
    const auto amended = of_kind<AmendMachine>(actions);
    ASSERT_EQ(amended.size(), 1U);
    EXPECT_EQ(requested(amended.front().before.children), "requested-size=0M");
    EXPECT_EQ(requested(amended.front().after.children), fmt::format("requested-size={}M", before.mem_mib));
    EXPECT_TRUE(std::holds_alternative<WriteFile>(actions.back())) << "recorded once it is so";
    EXPECT_TRUE(of_kind<ResizeMemory>(lowered(ChangeKind::in_place, plan, running(vm))).empty());
}

TEST(Lower, StopStopsByTheOldTimeoutAndRecords) {
    Plan plan = hello_plan();
    plan.vms.front().shutdown_timeout_ms = 1;
    const auto actions = lowered(ChangeKind::stop, plan, running(hello_vm()));
    EXPECT_THAT(lines_of(actions), ::testing::ElementsAre("stop web (killed after 60s)",
                                                          "write /var/lib/microvmc/projects/hello/web/plan.json"));
}

TEST(Lower, DestroyKeepsVolumes) {
    const auto actions = lowered(ChangeKind::destroy, hello_plan(), running(hello_vm()));
    expect_golden("destroy.json", text_of(actions));
    EXPECT_TRUE(of_kind<DeleteVolume>(actions).empty());
}

TEST(Lower, AMachineWithoutRecordIsDestroyedByItsDirectories) {
    ObservedVm unknown;
    unknown.name = "old";
    const auto actions = lower_destroy(unknown, {"old", "/s/old", "/r/p/old"}, true);
    EXPECT_EQ(of_kind<StopMachine>(actions).front().runtime_dir, "/r/p/old");
    EXPECT_EQ(of_kind<RemoveTree>(actions).front().path, "/r/p/old");
    EXPECT_TRUE(of_kind<DeleteVolume>(actions).empty());
}

TEST(Lower, VolumesThatTheUserMadeAreNeitherCreatedNorDeleted) {
    Plan plan = hello_plan();
    plan.vms.front().volumes.front().auto_create = false;
    EXPECT_TRUE(of_kind<CreateVolume>(lowered(ChangeKind::create, plan, {})).empty());
    const Observed observed = running(plan.vms.front());
    EXPECT_TRUE(of_kind<DeleteVolume>(lower_destroy(observed.vms.front(), {"web", "/s", "/r"}, true)).empty());
}

// Its machine was destroyed, so no record says how big it is; the image does.
TEST(Lower, AVolumeThatWasKeptGrows) {
    Plan plan = hello_plan();
    VolumePlan& volume = plan.vms.front().volumes.front();
    volume.size_mib = 128;
    HostFacts facts = sample_facts();
    facts.paths[volume.image] = {.kind = PathFacts::Kind::file, .readable = true, .writable = true, .size = 64U << 20U};
    auto actions = lower(plan, one_change(ChangeKind::create), {}, facts);
    ASSERT_EQ(of_kind<GrowVolume>(actions).size(), 1U);
    EXPECT_EQ(of_kind<GrowVolume>(actions).front(), (GrowVolume{volume.image, 128}));
    EXPECT_TRUE(of_kind<CreateVolume>(actions).empty());
    facts.paths[volume.image].size = 128U << 20U;
    actions = lower(plan, one_change(ChangeKind::create), {}, facts);
    EXPECT_TRUE(of_kind<GrowVolume>(actions).empty());
    facts.paths[volume.image] = {};
    actions = lower(plan, one_change(ChangeKind::create), {}, facts);
    EXPECT_EQ(of_kind<CreateVolume>(actions).size(), 1U);
}

TEST(Lower, DestroyRemovesEachLogAndTheOneBeforeIt) {
    const auto actions = lower_destroy(running(hello_vm()).vms.front(), {"web", "/s/web", "/r/p/web"}, false);
    std::vector<std::string> files;
    for (const RemoveFile& file : of_kind<RemoveFile>(actions)) { files.push_back(file.path); }
    const std::vector<std::string> expected{
        "/s/web/console.log",    "/s/web/console.log.times", "/s/web/console.log.1", "/s/web/console.log.1.times",
        "/s/web/cloud-init.iso", "/s/web/vmm.log",           "/s/web/vmm.log.1",     "/s/web/events.log",
        "/s/web/events.log.1",   "/s/web/end.json",          "/s/web/plan.json"};
    EXPECT_EQ(files, expected);
}

// What is destroyed frees its port before another machine takes it.
TEST(Lower, WhatIsDestroyedComesFirst) {
    Observed observed = running(hello_vm());
    observed.vms.front().name = "old";
    VmChange create;
    create.vm = "web";
    create.kind = ChangeKind::create;
    VmChange destroy;
    destroy.vm = "old";
    destroy.kind = ChangeKind::destroy;
    const auto actions = lower(hello_plan(), {{create, destroy}}, observed, sample_facts());
    EXPECT_EQ(describe(actions.front()), "stop old (killed after 60s)");
}

// Directories are made once, each before what is in it.
TEST(Lower, DirectoriesFromTheTopDown) {
    const auto directories = of_kind<MakeDirectory>(lowered(ChangeKind::create, hello_plan(), {}));
    std::vector<std::string> paths;
    for (const MakeDirectory& directory : directories) { paths.push_back(directory.path); }
    const std::vector<std::string> expected{
        "/var/lib/microvmc/projects",
        "/var/lib/microvmc/projects/hello",
        "/var/lib/microvmc/projects/hello/web",
        "/run/microvmc/hello",
        "/run/microvmc/hello/web",
        "/var/lib/microvmc/kernels",
        "/var/lib/microvmc/cache",
        "/var/lib/microvmc/cache/initramfs",
        "/var/lib/microvmc/projects/hello/web/volumes",
    };
    EXPECT_EQ(paths, expected);
}

TEST(Lower, CommandsAreWhatIsStarted) {
    const auto started = of_kind<StartMachine>(lowered(ChangeKind::create, hello_plan(), {})).front();
    EXPECT_EQ(commands(hello_vm(), sample_facts()), started.launch.children);
}

} // namespace microvmc::test
